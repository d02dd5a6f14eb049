//! The `jupyterhub` connector against a real hub, checked with a browser, another application, and the hub's own word.

mod changes;
pub mod contract;
mod enumeration;
mod failures;
mod issuing;

use leasehold_connect::connector::Connector;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::request::{AccountTarget, CredentialTarget};
use leasehold_testing::JupyterHubServer;
use leasehold_testing::jupyterhub::OWN_TOKEN;
use serde_json::json;

use crate::harness::{account, build, enumerate_all};

/// The configuration of `docs/operating.md`: no more rights than these.
pub const RIGHTS: &str = r#"
c.JupyterHub.services.append({"name": "leasehold", "api_token": os.environ["LEASEHOLD_TOKEN"]})
c.JupyterHub.load_roles.append({
    "name": "leasehold",
    "services": ["leasehold"],
    "scopes": [
        # read
        "list:users", "read:users", "read:roles", "read:servers", "list:groups", "read:groups", "read:groups:shares",
        "list:services", "read:services",
        # change: memberships, shares, tokens and grants, running servers, and the end of a user
        "groups", "users:shares", "tokens", "delete:servers", "delete:users",
    ],
})
"#;

/// A hub with people who use it.
pub struct Company {
    pub server: JupyterHubServer,
    /// A token that Alice made.
    pub alice: String,
    /// What the other application got from Alice, from Alice once more, and from Bob.
    pub granted: [String; 3],
}

impl Company {
    /// Alice, who has a role of her own, and Bob are students; Bob is a teacher, which carries a role, too. Both run a server, and
    /// Bob's is shared with Alice and with the students. Carol has nothing.
    pub fn start() -> Self {
        Self::with(RIGHTS)
    }

    /// The same where Leasehold's service has other rights.
    pub fn with(rights: &str) -> Self {
        let server = JupyterHubServer::start(rights);
        for user in ["bob", "carol"] {
            server.add_user(user);
        }
        server.add_members("students", &["alice", "bob"]);
        server.add_members("teachers", &["bob"]);
        let (alice, _) = server.add_token("alice", "nightly");
        let granted = ["alice", "alice", "bob"].map(|user| server.authorize(user));
        for user in ["alice", "bob"] {
            server.start_server(user);
        }
        server.share("bob", &json!({"user": "alice"}));
        server.share("bob", &json!({"group": "students"}));
        Self { server, alice, granted }
    }

    /// The connector, with the rights that Leasehold's service has.
    pub fn connector(&self) -> Box<dyn Connector> {
        connector(&self.server, OWN_TOKEN, "")
    }

    /// What is told of somebody's credentials of a kind.
    pub async fn credentials(&self, user: &str, kind: CredentialKind) -> Vec<Credential> {
        let facts = enumerate_all(&*self.connector()).await;
        let of = |found: &Credential| found.account.as_str() == user && found.kind == kind;
        facts.credentials.into_values().filter(of).collect()
    }
}

/// A connector that logs in with a token.
pub fn connector(server: &JupyterHubServer, token: &str, more: &str) -> Box<dyn Connector> {
    let file = server.token_file("connector.token", token);
    let table = format!("url = '{}'\ntoken = 'file:{}'\n{more}", server.url(), file.display());
    build("jupyterhub", &table)
}

/// A user or service.
pub fn user(name: &str) -> AccountTarget {
    account(name)
}

/// A credential as plans name it.
pub fn target(credential: &Credential) -> CredentialTarget {
    CredentialTarget { key: credential.key.clone(), kind: credential.kind }
}
