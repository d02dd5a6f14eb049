//! OpenBao: a user of `userpass` with a token, a group that carries a policy, a group that the group is in; and the agent with
//! its token.

use std::collections::BTreeSet;

use leasehold_testing::{Lie, OpenBaoServer, Proxy};

use super::documented;
use super::target::{AGENT, FirstCredential, LEAVER, Left, OTHERS, Target, address_of, password};

pub struct Vault {
    server: OpenBaoServer,
    proxy: Proxy,
    /// The accessor of `userpass`.
    mount: String,
    /// The leaver's token.
    token: String,
    /// The others' tokens and the agent's.
    other_tokens: Vec<String>,
}

fn place(login: &str) -> String {
    format!("auth/userpass/users/{login}")
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Vault {
    pub fn start() -> Self {
        let server = OpenBaoServer::start();
        server.write_policy("app", r#"path "secret/data/app" { capabilities = ["read"] }"#);
        server.write_policy("logs", r#"path "secret/data/logs" { capabilities = ["read"] }"#);
        server.write_policy("leasehold", &documented("OpenBao"));
        server.bao(&["kv", "put", "secret/app", "answer=42"]);
        server.bao(&["kv", "put", "secret/logs", "answer=43"]);
        server.bao(&["auth", "enable", "userpass"]);
        server.bao(&["auth", "enable", "approle"]);
        let mounts = server.bao_json(&["auth", "list"], &[]);
        let mount = text(&mounts["userpass/"]["accessor"]);
        let group = server.bao_json(&["write"], &["identity/group", "name=payments", "policies=logs"]);
        let group = text(&group["data"]["id"]);
        server.bao(&["write", "identity/group", "name=engineering", &format!("member_group_ids={group}")]);
        server.bao(&["write", "identity/group", "name=treasury"]);
        let own = server.bao(&["token", "create", "-policy=leasehold", "-field=token"]);
        server.token_file("own", &own);
        let proxy = Proxy::start_lying(address_of(&server.url()), Lie::OpenBao);
        let mut vault = Self { server, proxy, mount, token: String::new(), other_tokens: Vec::new() };
        for login in OTHERS.into_iter().chain([AGENT]) {
            let token = vault.add_user(login);
            vault.other_tokens.push(token);
        }
        vault
    }

    /// Makes a user with an entity of that name and logs in as it.
    fn add_user(&self, login: &str) -> String {
        let password = format!("password={}", password(login));
        self.server.bao(&["write", &place(login), &password, "token_policies=app"]);
        let made = self.server.bao_json(&["write"], &["identity/entity", &format!("name={login}")]);
        let entity = text(&made["data"]["id"]);
        let (name, canonical) = (format!("name={login}"), format!("canonical_id={entity}"));
        let mount = format!("mount_accessor={}", self.mount);
        self.server.bao(&["write", "identity/entity-alias", &name, &canonical, &mount]);
        let mut members = self.members("payments");
        members.push(entity);
        self.write_members(&members);
        self.log_in(login).expect("logs in")
    }

    /// The entities that are in a group.
    fn members(&self, group: &str) -> Vec<String> {
        let found = self.server.bao_json(&["read"], &[&format!("identity/group/name/{group}")]);
        found["data"]["member_entity_ids"].as_array().into_iter().flatten().map(text).collect()
    }

    fn write_members(&self, members: &[String]) {
        let members = format!("member_entity_ids={}", members.join(","));
        self.server.bao(&["write", "identity/group/name/payments", "policies=logs", &members]);
    }

    fn entity(&self, login: &str) -> Option<String> {
        let found = self.server.try_bao(
            leasehold_testing::openbao::ROOT_TOKEN,
            &["read", "-field=id", &format!("identity/entity/name/{login}")],
        );
        found.ok()
    }

    fn log_in(&self, login: &str) -> Result<String, String> {
        let password = format!("password={}", password(login));
        let path = format!("auth/userpass/login/{login}");
        self.server.try_bao("", &["write", "-field=token", &path, &password])
    }

    /// Whether a token reads what a policy allows.
    fn reads(&self, token: &str, secret: &str) -> bool {
        self.server.try_bao(token, &["kv", "get", &format!("secret/{secret}")]).is_ok()
    }
}

impl Target for Vault {
    fn name(&self) -> &'static str {
        "vault"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"openbao\"\nurl = \"http://{}\"\ntoken = \"file:{}\"\n\
             lease_prefixes = [\"auth/userpass/login\"]\ncorrelate = [\"alias.userpass = email.local\", \"login = email.local\"]\n",
            self.proxy.address(),
            self.server.folder().join("own").display()
        )
    }

    fn entitlements(&self) -> Vec<String> {
        vec!["group/payments".to_owned(), "policy/app".to_owned()]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec!["group/treasury".to_owned()]
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        let entity = self.entity(login)?;
        let groups = ["payments", "treasury"].into_iter();
        let groups = groups.filter(|group| self.members(group).contains(&entity));
        let mut held: BTreeSet<String> = groups.map(|group| format!("group/{group}")).collect();
        let found = self.server.bao_json(&["read"], &[&format!("identity/entity/name/{login}")]);
        let policies = found["data"]["policies"].as_array().into_iter().flatten();
        held.extend(policies.map(|policy| format!("policy/{}", text(policy))));
        Some(held)
    }

    fn issues(&self) -> bool {
        // Nobody logs in as an entity until an auth method has an alias for it.
        false
    }

    fn lets_in(&mut self, login: &str, _first: Option<&FirstCredential>) -> bool {
        let path = format!("identity/entity/name/{login}");
        let disabled = self.server.bao(&["read", "-field=disabled", &path]);
        disabled == "false"
    }

    fn agent(&self) -> Option<String> {
        Some(AGENT.to_owned())
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn give(&mut self) {
        // An entity's end is the end of its tokens and of its membership.
        if let Some(entity) = self.entity(LEAVER) {
            self.server.bao(&["delete", &format!("identity/entity/id/{entity}")]);
        }
        self.server.bao(&["delete", &place(LEAVER)]);
        self.token = self.add_user(LEAVER);
    }

    fn left(&mut self) -> Vec<Left> {
        let mut left = Vec::new();
        if let Ok(token) = self.log_in(LEAVER) {
            left.push(Left::LogIn);
            self.server.bao(&["token", "revoke", &token]);
        }
        let root = leasehold_testing::openbao::ROOT_TOKEN;
        if let Ok(found) = self.server.try_bao(root, &["token", "lookup", "-format=json", &self.token]) {
            let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
            left.push(Left::Credential(text(&found["data"]["accessor"])));
        }
        if self.server.try_bao(root, &["read", &place(LEAVER)]).is_ok() {
            left.push(Left::Credential(place(LEAVER)));
            left.push(Left::Entitlement("policy/app".to_owned()));
        }
        if self.reads(&self.token, "app") {
            left.push(Left::Session);
        }
        if self.entity(LEAVER).is_some_and(|entity| self.members("payments").contains(&entity)) {
            left.extend(
                ["group/payments", "group/engineering"].map(|name| Left::Entitlement(name.to_owned())),
            );
        }
        left
    }

    fn speaks_http(&self) -> bool {
        true
    }

    fn check_others_unchanged(&mut self) {
        for (login, token) in OTHERS.into_iter().chain([AGENT]).zip(&self.other_tokens) {
            assert!(self.log_in(login).is_ok(), "{login} logs in");
            assert!(
                self.reads(token, "app") && self.reads(token, "logs"),
                "{login} reads with the token from before"
            );
        }
    }
}
