//! The `scim` connector against two servers that differ in much, each looked at with a client of neither.

mod changes;
pub mod contract;
mod enumeration;
mod failures;
mod issuing;
mod paging;

use leasehold_connect::connector::Connector;
use leasehold_model::request::{AccountTarget, EntitlementTarget};
use leasehold_testing::ScimServer;
use serde_json::json;

use crate::harness::{build, entitlement};

pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A company's application.
pub struct Company {
    pub server: ScimServer,
    /// Ids of `ada`, `bob` and `carl`.
    pub users: [String; 3],
    /// Ids of `eng`, `all` and `ops`.
    pub groups: [String; 3],
}

impl Company {
    /// Ada is in `eng`, and `eng` is in `all`; Bob is in `all` and `ops`; Carl cannot log in.
    pub fn start(server: ScimServer) -> Self {
        let ada = json!({
            "userName": "ada", "externalId": "hr-1", "displayName": "Ada L.",
            "name": {"givenName": "Ada", "familyName": "Lovelace"},
            "emails": [{"value": "ada@home.example"}, {"value": "ada@example.com", "primary": true}],
            "roles": [{"value": "auditor"}], "entitlements": [{"value": "export"}],
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            ENTERPRISE: {"employeeNumber": "E1", "department": "Engines"},
        });
        let bob = json!({"userName": "bob", "active": true});
        let carl = json!({"userName": "carl", "active": false});
        let users: [String; 3] = server.make("Users", [ada, bob, carl]).try_into().expect("three users");
        let member = |id: &str, kind: &str| json!({"value": id, "type": kind});
        let eng = server
            .make("Groups", [json!({"displayName": "eng", "members": [member(&users[0], "User")]})])
            .remove(0);
        let all =
            json!({"displayName": "all", "members": [member(&eng, "Group"), member(&users[1], "User")]});
        let ops = json!({"displayName": "ops", "members": [member(&users[1], "User")]});
        let [all, ops]: [String; 2] = server.make("Groups", [all, ops]).try_into().expect("two groups");
        Self { server, users, groups: [eng, all, ops] }
    }

    /// One on each server.
    pub fn both() -> [Self; 2] {
        [Self::start(ScimServer::start_scim2_server()), Self::start(ScimServer::start_scimmy())]
    }

    /// The connector.
    pub fn connector(&self) -> Box<dyn Connector> {
        self.connector_at(self.server.url(), "")
    }

    /// One with more settings, that asks at another address.
    pub fn connector_at(&self, url: &str, more: &str) -> Box<dyn Connector> {
        let token = self.server.token_file();
        build("scim", &format!("url = '{url}'\ntoken = 'file:{}'\n{more}", token.display()))
    }

    /// The server's own path at another address.
    pub fn url_at(&self, between: &str) -> String {
        let path = self.server.url().splitn(4, '/').nth(3).expect("a path");
        format!("{between}/{path}")
    }

    pub fn ada(&self) -> AccountTarget {
        AccountTarget { key: self.users[0].as_str().into(), login: "ada".to_owned() }
    }

    pub fn bob(&self) -> AccountTarget {
        AccountTarget { key: self.users[1].as_str().into(), login: "bob".to_owned() }
    }

    /// A group as a plan names it: with the id that the last enumeration saw.
    pub fn group(&self, index: usize) -> EntitlementTarget {
        let mut target = entitlement(["group/eng", "group/all", "group/ops"][index]);
        target.native = Some(self.groups[index].clone());
        target
    }

    /// Whether somebody is in a group, as the other client reads it.
    pub fn is_member(&self, account: &AccountTarget, group: usize) -> bool {
        self.server.is_member(&self.groups[group], account.key.as_str())
    }
}

/// An answer of a server in JSON.
pub fn answer(status: &str, more: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/scim+json\r\nContent-Length: {}\r\n{more}\r\n{body}",
        body.len()
    )
    .into_bytes()
}
