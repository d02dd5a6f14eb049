// A real OpenID provider on loopback with two people. Its own development pages ask for the login; any password does.
// Standard input is not read. It ends with the process that started it.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const npm = createRequire(join(process.env.LEASEHOLD_NPM, "package.json"));
const { Provider } = await import(pathToFileURL(npm.resolve("oidc-provider")).href);

const people = {
  olga: { name: "Olga", email: "olga@example.com", email_verified: true, groups: ["leasehold-admins", "staff"] },
  ada: { name: "Ada", email: "ada@example.com", email_verified: true, groups: ["staff"] },
  // She says that this is her address; nobody has looked.
  eve: { name: "Eve", email: "dana@example.com", email_verified: false, groups: [] },
  // The provider has looked; here somebody else has it already.
  dana: { name: "Dana", email: "dana@example.com", email_verified: true, groups: ["leasehold-admins"] },
};

const port = Number(process.env.LEASEHOLD_PROVIDER_PORT);
const server = process.env.LEASEHOLD_URL;
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "leasehold",
      client_secret: process.env.LEASEHOLD_PROVIDER_SECRET,
      redirect_uris: [`${server}/sign-in/openid/callback`],
      post_logout_redirect_uris: [`${server}/sign-in`],
      // By address: what else is called localhost on a machine is not this test's business.
      backchannel_logout_uri: `${server.replace("localhost", "127.0.0.1")}/sign-in/openid/back-channel-logout`,
      backchannel_logout_session_required: true,
    },
  ],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  scopes: ["openid", "email", "profile", "groups"],
  cookies: { keys: ["of this test only"] },
  features: { backchannelLogout: { enabled: true }, devInteractions: { enabled: true } },
  pkce: { required: () => true },
  // Calls to this server's own loopback address are what the test is about.
  fetch: (url, { dispatcher: _refusesLoopback, ...options }) => fetch(url, options),
  findAccount: (_context, id) =>
    people[id] && { accountId: id, claims: async () => ({ sub: id, ...people[id] }) },
});
provider.on("backchannel.error", (_context, error) => console.error("logout was not heard:", error.message, error.cause ?? ""));
provider.on("backchannel.success", () => console.error("logout was heard"));
provider.on("server_error", (_context, error) => console.error(error));
provider.listen(port, "127.0.0.1", () => console.error("listening"));
