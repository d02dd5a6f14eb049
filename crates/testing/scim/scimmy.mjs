// A SCIM 2.0 server on loopback by `scimmy` and `scimmy-routers`, with everything in memory. It lets in whoever shows the token.

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const npm = createRequire(join(process.env.LEASEHOLD_NPM, "package.json"));
// All three as CommonJS, so that there is one `scimmy` and not two.
const load = async (name) => {
  const { default: loaded } = await import(pathToFileURL(npm.resolve(name)).href);
  return loaded.default ?? loaded;
};
const [express, SCIMMY, SCIMMYRouters] = [await load("express"), await load("scimmy"), await load("scimmy-routers")];

const absent = (id) => new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);

/** What one type of resource keeps: `unique` names the attribute that no two may share. */
function keep(type, unique) {
  const kept = new Map();
  const find = (id) => {
    if (!kept.has(id)) throw absent(id);
    return kept.get(id);
  };
  SCIMMY.Resources.declare(type)
    .egress(({ id, filter }) => {
      if (id) return find(id);
      const all = [...kept.values()];
      return filter ? filter.match(all) : all;
    })
    .ingress(({ id }, given) => {
      const written = JSON.parse(JSON.stringify(given));
      const before = id ? find(id) : undefined;
      const name = written[unique]?.toLowerCase();
      for (const other of kept.values()) {
        if (other.id !== id && other[unique]?.toLowerCase() === name) {
          throw new SCIMMY.Types.Error(409, "uniqueness", `${unique} is taken`);
        }
      }
      const now = new Date().toISOString();
      const made = { ...written, id: id ?? randomUUID() };
      // What nobody reads is not among what is written down, and stays when something else is changed.
      const password = given.password ?? before?.password;
      if (password !== undefined) made.password = password;
      made.meta = { created: before?.meta.created ?? now, lastModified: now };
      kept.set(made.id, made);
      return made;
    })
    .degress(({ id }) => {
      if (!kept.delete(id)) throw absent(id);
    });
}

keep(SCIMMY.Resources.User, "userName");
keep(SCIMMY.Resources.Group, "displayName");
SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false);

const expected = `Bearer ${process.env.LEASEHOLD_SCIM_TOKEN}`;
const routers = new SCIMMYRouters({
  type: "bearer",
  docUri: "https://scim.example.com",
  handler: (request) => {
    if (request.header("Authorization") !== expected) throw new Error("the token is not accepted");
    return "test";
  },
});
// Express 5 reads `query` anew each time it is asked for; the routers turn its numbers into numbers in place.
const keepQuery = (request, _, next) => {
  Object.defineProperty(request, "query", { value: request.query });
  next();
};
express().use(keepQuery).use("/scim/v2", routers).listen(Number(process.env.LEASEHOLD_SCIM_PORT), "127.0.0.1");
