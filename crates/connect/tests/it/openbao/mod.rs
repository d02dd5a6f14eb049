//! The `openbao` connector against a real server, checked with `bao`.

mod changes;
pub mod contract;
mod enumeration;
mod failures;
mod issuing;
mod leases;

use leasehold_connect::connector::Connector;
use leasehold_model::request::AccountTarget;
use leasehold_testing::{Lie, Manner, OpenBaoServer, Proxy};

use crate::harness::build;

/// The rights of `docs/operating.md`: no more than these.
pub const RIGHTS: &str = r#"
path "identity/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/auth" { capabilities = ["read"] }
path "sys/policies/acl" { capabilities = ["list"] }
path "auth/token/accessors" { capabilities = ["list", "sudo"] }
path "auth/token/accessors/" { capabilities = ["list", "sudo"] }
path "auth/token/lookup-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }
path "auth/userpass/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "auth/approle/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "sys/leases/revoke-prefix/auth/userpass/login/*" { capabilities = ["update", "sudo"] }
"#;

/// A company's server.
pub struct Company {
    pub server: OpenBaoServer,
    /// Leasehold's own token.
    pub own: String,
    /// Tokens that logging in gave.
    pub alice: String,
    pub bob: String,
    pub service: String,
}

impl Company {
    /// Alice and Bob log in with passwords and are in `eng`, which is in `all`; a service logs in with a secret-id; Carol
    /// has never logged in.
    pub fn start() -> Self {
        let server = OpenBaoServer::start();
        server.write_policy("app", r#"path "secret/data/app" { capabilities = ["read"] }"#);
        server.write_policy("logs", r#"path "secret/data/logs" { capabilities = ["read"] }"#);
        server.write_policy("leasehold", RIGHTS);
        server.bao(&["kv", "put", "secret/app", "answer=42"]);
        server.bao(&["auth", "enable", "userpass"]);
        server.bao(&["auth", "enable", "approle"]);
        for user in ["alice", "bob", "carol"] {
            let path = format!("auth/userpass/users/{user}");
            server.bao(&["write", &path, &format!("password={user}pw"), "token_policies=app"]);
        }
        server.bao(&["write", "auth/approle/role/svc", "token_policies=app", "secret_id_ttl=24h"]);
        let [alice, bob] = ["alice", "bob"].map(|user| log_in(&server, user).expect("log in"));
        let service = service_log_in(&server);
        let (first, second) = (entity(&server, &alice), entity(&server, &bob));
        let members = format!("member_entity_ids={first},{second}");
        let made = server.bao_json(&["write"], &["identity/group", "name=eng", "policies=logs", &members]);
        let eng = made["data"]["id"].as_str().expect("an id");
        server.bao(&["write", "identity/group", "name=all", &format!("member_group_ids={eng}")]);
        let own =
            server.bao(&["token", "create", "-policy=leasehold", "-display-name=leasehold", "-field=token"]);
        Self { server, own, alice, bob, service }
    }

    /// The connector, with the rights of the documents and no more.
    pub fn connector(&self) -> Box<dyn Connector> {
        connector(&self.server, &self.own)
    }

    /// Whether a token reads what the company keeps.
    pub fn reads(&self, token: &str) -> bool {
        self.server.try_bao(token, &["kv", "get", "secret/app"]).is_ok()
    }

    /// The account of whoever got a token.
    pub fn account(&self, token: &str) -> AccountTarget {
        let id = entity(&self.server, token);
        let found = self.server.bao_json(&["read"], &[&format!("identity/entity/id/{id}")]);
        let login = found["data"]["name"].as_str().expect("a name").to_owned();
        AccountTarget { key: id.into(), login }
    }

    /// The accessor of a token.
    pub fn accessor(&self, token: &str) -> String {
        text(&self.server.bao_json(&["token", "lookup"], &[token])["data"]["accessor"])
    }

    /// Whether an account is a member of a group, as `bao` reads it.
    pub fn is_member(&self, account: &AccountTarget, group: &str) -> bool {
        let found = self.server.bao_json(&["read"], &[&format!("identity/group/name/{group}")]);
        let members = found["data"]["member_entity_ids"].as_array().cloned().unwrap_or_default();
        members.iter().any(|member| member == account.key.as_str())
    }
}

/// A connector that logs in with a token.
pub fn connector(server: &OpenBaoServer, token: &str) -> Box<dyn Connector> {
    let file = server.token_file("connector.token", token);
    build("openbao", &format!("url = '{}'\ntoken = 'file:{}'", server.url(), file.display()))
}

/// The same with leases below these prefixes.
pub fn connector_with(company: &Company, prefixes: &str) -> Box<dyn Connector> {
    connector_at(company, &company.server.url(), prefixes)
}

/// The same with a token, by its accessor, that the server says it does not know.
pub fn connector_hiding(company: &Company, accessor: &str, prefixes: &str) -> (Proxy, Box<dyn Connector>) {
    let url = company.server.url();
    let address = url.trim_start_matches("http://").parse().expect("an address");
    let mut proxy = Proxy::start_lying(address, Lie::OpenBaoHiding(accessor.to_owned()));
    proxy.set(Manner::Lie);
    let connector = connector_at(company, &format!("http://{}", proxy.address()), prefixes);
    (proxy, connector)
}

fn connector_at(company: &Company, url: &str, prefixes: &str) -> Box<dyn Connector> {
    let file = company.server.token_file("connector.token", &company.own);
    let settings = format!("url = '{url}'\ntoken = 'file:{}'\nlease_prefixes = {prefixes}", file.display());
    build("openbao", &settings)
}

/// A token for a password, or what the server says.
pub fn log_in(server: &OpenBaoServer, user: &str) -> Result<String, String> {
    log_in_with(server, user, &format!("{user}pw"))
}

/// The same with this password.
pub fn log_in_with(server: &OpenBaoServer, user: &str, password: &str) -> Result<String, String> {
    let path = format!("auth/userpass/login/{user}");
    let password = format!("password={password}");
    server.try_bao("", &["write", "-field=token", &path, &password])
}

fn service_log_in(server: &OpenBaoServer) -> String {
    let made = server.bao_json(&["write"], &["-f", "auth/approle/role/svc/secret-id"]);
    service_log_in_with(server, &text(&made["data"]["secret_id"])).expect("log in")
}

/// A token for a secret-id of the service, or what the server says.
pub fn service_log_in_with(server: &OpenBaoServer, secret_id: &str) -> Result<String, String> {
    let (role, secret) = (format!("role_id={}", role_id(server)), format!("secret_id={secret_id}"));
    server.try_bao("", &["write", "-field=token", "auth/approle/login", &role, &secret])
}

/// What the service calls its role when it logs in.
pub fn role_id(server: &OpenBaoServer) -> String {
    text(&server.bao_json(&["read"], &["auth/approle/role/svc/role-id"])["data"]["role_id"])
}

fn entity(server: &OpenBaoServer, token: &str) -> String {
    text(&server.bao_json(&["token", "lookup"], &[token])["data"]["entity_id"])
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}
