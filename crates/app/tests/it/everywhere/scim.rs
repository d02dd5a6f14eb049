//! An application with SCIM: a user with a role, a group, and a group that the group is in.

use std::collections::BTreeSet;

use leasehold_testing::{Lie, Proxy, ScimServer};
use serde_json::{Value, json};

use super::target::{FirstCredential, LEAVER, Left, OTHERS, Target, address_of, mail};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

pub struct Application {
    server: ScimServer,
    proxy: Proxy,
    /// The ids of the leaver and of the others.
    users: Vec<String>,
    /// The ids of the group and of the one that it is in.
    groups: [String; 2],
    /// The id of the other department's group.
    treasury: String,
}

fn user(login: &str) -> Value {
    json!({
        "schemas": [USER], "userName": login, "active": true, "emails": [{"value": mail(login), "primary": true}],
        "roles": [{"value": "auditor"}],
    })
}

fn group(name: &str, members: &[String], kind: &str) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({"value": id, "type": kind})).collect();
    json!({"schemas": [GROUP], "displayName": name, "members": members})
}

impl Application {
    pub fn start() -> Self {
        let server = ScimServer::start_scim2_server();
        let users = server.make("Users", [LEAVER, OTHERS[0], OTHERS[1]].map(user));
        let payments = server.make("Groups", [group("payments", &users, "User")]).remove(0);
        // Whoever is in payments is in engineering.
        let outer = [group("engineering", std::slice::from_ref(&payments), "Group")];
        let engineering = server.make("Groups", outer).remove(0);
        let treasury = server.make("Groups", [group("treasury", &[], "User")]).remove(0);
        let url = server.url();
        let address = address_of(url.rsplit_once('/').expect("a path").0);
        let proxy = Proxy::start_lying(address, Lie::Scim);
        Self { server, proxy, users, groups: [payments, engineering], treasury }
    }

    fn user(&self, index: usize) -> Value {
        self.server.find("user", &self.users[index]).expect("a user")
    }

    /// The user of this name, as the server lists it.
    fn listed(&self, login: &str) -> Option<Value> {
        let found = self.server.ask("GET", &format!("Users?filter=userName%20eq%20%22{login}%22"), "");
        found["Resources"].get(0).cloned()
    }

    fn has_role(user: &Value) -> bool {
        user["roles"].as_array().into_iter().flatten().any(|role| role["value"] == "auditor")
    }
}

impl Target for Application {
    fn name(&self) -> &'static str {
        "application"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"scim\"\nurl = \"http://{}/v2\"\ntoken = \"file:{}\"\ncorrelate = [\"mail = email\"]\n",
            self.proxy.address(),
            self.server.token_file().display()
        )
    }

    fn entitlements(&self) -> Vec<String> {
        vec!["group/payments".to_owned(), "role/auditor".to_owned()]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec!["group/treasury".to_owned()]
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        let user = self.listed(login)?;
        let id = user["id"].as_str().expect("an id");
        let groups = [("payments", &self.groups[0]), ("treasury", &self.treasury)].into_iter();
        let groups = groups.filter(|(_, group)| self.server.is_member(group, id));
        let mut held: BTreeSet<String> = groups.map(|(name, _)| format!("group/{name}")).collect();
        held.extend(Self::has_role(&user).then(|| "role/auditor".to_owned()));
        Some(held)
    }

    fn lets_in(&mut self, login: &str, first: Option<&FirstCredential>) -> bool {
        let is_active = self.listed(login).is_some_and(|user| user["active"] != false);
        is_active && first.is_some_and(|first| self.server.has_password(login, &first.secret))
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn give(&mut self) {
        self.server.ask("PUT", &format!("Users/{}", self.users[0]), &user(LEAVER).to_string());
        let members = group("payments", &self.users, "User");
        self.server.ask("PUT", &format!("Groups/{}", self.groups[0]), &members.to_string());
    }

    fn left(&mut self) -> Vec<Left> {
        // Often asked for, so without the client, which takes its time.
        let [user, group] = [format!("Users/{}", self.users[0]), format!("Groups/{}", self.groups[0])]
            .map(|path| self.server.ask("GET", &path, ""));
        let mut left = Vec::new();
        if user["active"] != false {
            left.push(Left::LogIn);
        }
        let mut members = group["members"].as_array().into_iter().flatten();
        if members.any(|member| member["value"] == self.users[0]) {
            left.extend(
                ["group/payments", "group/engineering"].map(|name| Left::Entitlement(name.to_owned())),
            );
        }
        if Self::has_role(&user) {
            left.push(Left::Entitlement("role/auditor".to_owned()));
        }
        left
    }

    fn speaks_http(&self) -> bool {
        true
    }

    fn check_others_unchanged(&mut self) {
        for (index, login) in (1..).zip(OTHERS) {
            let user = self.user(index);
            assert!(user["active"] != false && Self::has_role(&user), "{login} is as before: {user}");
            assert!(self.server.is_member(&self.groups[0], &self.users[index]), "{login} is a member");
        }
        assert!(self.server.is_member(&self.groups[1], &self.groups[0]), "the group is in the other one");
    }
}
