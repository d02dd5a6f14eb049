// A SCIM service provider in memory, of npm's scimmy-routers: users by id, names by their lower case, nothing else.

import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const users = new Map();
const names = new Map();
let made = 0;

const fail = (status, type, why) => {
    throw new SCIMMY.Types.Error(status, type, why);
};

SCIMMY.Resources.declare(SCIMMY.Resources.User)
    .egress((resource) => {
        if (!resource.id) return [...users.values()];
        return users.get(resource.id) ?? fail(404, null, "there is no such user");
    })
    .ingress((resource, sent) => {
        const before = resource.id ? (users.get(resource.id) ?? fail(404, null, "there is no such user")) : null;
        const name = sent.userName.toLowerCase();
        const id = before?.id ?? String((made += 1));
        if ((names.get(name) ?? id) !== id) fail(409, "uniqueness", "another user has this name");
        if (before) names.delete(before.userName.toLowerCase());
        const now = new Date();
        const user = { ...sent, id, meta: { created: before?.meta.created ?? now, lastModified: now } };
        users.set(id, user);
        names.set(name, id);
        return user;
    })
    .degress((resource) => {
        const user = users.get(resource.id) ?? fail(404, null, "there is no such user");
        users.delete(user.id);
        names.delete(user.userName.toLowerCase());
    });

const [port, token] = process.argv.slice(2);
const handler = (request) => {
    if (request.header("authorization") !== `Bearer ${token}`) throw new Error("another token");
    return "bench";
};
express()
    .use("/scim", new SCIMMYRouters({ type: "bearer", docUri: "https://example.com", handler }))
    .listen(Number(port), "127.0.0.1");
