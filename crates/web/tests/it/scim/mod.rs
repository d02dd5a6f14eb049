//! The SCIM server, as identity providers meet it.

mod bulk;
mod concurrency;
mod dialects;
mod discovery;
mod filters;
mod groups;
mod leavers;
mod paging;
mod resources;
mod tokens;

use std::path::Path;

use axum::http::StatusCode;
use leasehold_reconcile::system::Systems;
use serde_json::{Value, json};

use crate::support::{Answer, Installation, Program, connected};

/// The schemas of a user, and of what an organisation adds.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const USERS: &str = "/scim/v2/Users";
pub const GROUPS: &str = "/scim/v2/Groups";

/// `hr` says who there is, `portal` what somebody holds in it, and both push; `erp` is read from a file.
pub fn systems(folder: &Path) -> Systems {
    let grants = "account,entitlement\n\
        ada@example.com,role/clerk\n\
        bo@example.com,role/clerk\n";
    std::fs::write(folder.join("grants.csv"), grants).expect("written");
    let hr = connected(folder, "hr", "scim_push", true, "authoritative = true");
    let portal = connected(folder, "portal", "scim_push", false, "");
    let erp = connected(folder, "erp", "csv", false, "grants = \"grants.csv\"");
    [hr, portal, erp].into_iter().map(|system| (system.name.clone(), system)).collect()
}

/// A server with systems that push, and the provider that pushes into one of them.
pub struct Provider {
    pub installation: Installation,
    pub program: Program,
}

impl Provider {
    /// The provider of `hr`.
    pub async fn new() -> Self {
        let installation = Installation::with_systems(systems).await;
        let program = pushing(&installation, "hr").await;
        Self { installation, program }
    }

    /// Sends something, and demands a status.
    #[track_caller]
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Value,
        status: u16,
    ) -> impl Future<Output = Answer> + use<'_> {
        let at = std::panic::Location::caller();
        let asked = format!("{method} {path} {body}");
        let (method, path) = (method.to_owned(), path.to_owned());
        async move {
            let answer = self.program.call(&method, &path, body).await;
            assert_eq!(answer.status.as_u16(), status, "{at}: {asked}\n{}", answer.text);
            answer
        }
    }

    /// Makes a resource, and gives it as it was answered.
    pub async fn make(&mut self, path: &str, body: Value) -> Value {
        self.call("POST", path, body, 201).await.json()
    }

    /// Makes a user with this name alone, and gives the id.
    pub async fn user(&mut self, name: &str) -> String {
        id(&self.make(USERS, json!({"schemas": [USER], "userName": name})).await)
    }

    /// What an address shows.
    pub async fn get(&mut self, path: &str) -> Value {
        let answer = self.program.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}\n{}", answer.text);
        answer.json()
    }

    /// Changes a resource by operations, and gives it as it is then.
    pub async fn patch(&mut self, path: &str, operations: Value) -> Value {
        self.call("PATCH", path, patch(operations), 200).await.json()
    }
}

/// A program that pushes into a system.
pub async fn pushing(installation: &Installation, system: &str) -> Program {
    let user = installation.store.user_by_mail("dana@example.com").await.expect("reads").expect("is there");
    installation.program_with(installation.token_for(&user, &["scim"], Some(system), 30).await)
}

/// The id of a resource.
pub fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_else(|| panic!("no id: {resource}")).to_owned()
}

/// A request of changes.
pub fn patch(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

/// The names of what a list shows, in its order.
pub fn names(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    let name = |resource: &Value| {
        resource["userName"].as_str().or_else(|| resource["displayName"].as_str()).map(str::to_owned)
    };
    resources.iter().filter_map(name).collect()
}

/// A text as a part of an address.
pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
