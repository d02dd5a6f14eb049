// A SCIM service provider in memory, of npm's scimmy-routers: users with the enterprise extension and groups, as the others
// have them; each by id, and by its name in lower case, which no two users share.

import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const fail = (status, type, why) => {
    throw new SCIMMY.Types.Error(status, type, why);
};

/** Keeps resources of a type in memory: `nameOf` says what no two of them share, or nothing. */
const keep = (type, nameOf) => {
    const kept = new Map();
    const names = new Map();
    let made = 0;
    const sought = (id) => kept.get(id) ?? fail(404, null, "there is no such resource");
    SCIMMY.Resources.declare(type)
        .egress((resource) => (resource.id ? sought(resource.id) : [...kept.values()]))
        .ingress((resource, sent) => {
            const before = resource.id ? sought(resource.id) : null;
            const name = nameOf(sent);
            const id = before?.id ?? String((made += 1));
            if ((names.get(name) ?? id) !== id) fail(409, "uniqueness", "another resource has this name");
            if (before) names.delete(nameOf(before));
            const now = new Date();
            const stored = { ...sent, id, meta: { created: before?.meta.created ?? now, lastModified: now } };
            kept.set(id, stored);
            if (name) names.set(name, id);
            return stored;
        })
        .degress((resource) => {
            const ended = sought(resource.id);
            kept.delete(ended.id);
            names.delete(nameOf(ended));
        });
};

keep(SCIMMY.Resources.User, (user) => user.userName.toLowerCase());
keep(SCIMMY.Resources.Group, () => undefined);
SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);

const [port, token] = process.argv.slice(2);
const handler = (request) => {
    if (request.header("authorization") !== `Bearer ${token}`) throw new Error("another token");
    return "bench";
};
express()
    .use("/scim", new SCIMMYRouters({ type: "bearer", docUri: "https://example.com", handler }))
    .listen(Number(port), "127.0.0.1");
