//! AWS: a user with two access keys, a group that carries a policy, a policy of their own; and the service account with its key.

use std::collections::BTreeSet;

use leasehold_testing::aws::{ACCOUNT, anybody, key_of};
use leasehold_testing::{AwsKey, AwsServer, Lie, Proxy};
use serde_json::{Value, json};

use super::documented;
use super::target::{FirstCredential, LEAVER, Left, OTHERS, SERVICE, Target, address_of, mail};

/// Leasehold's own user, whose policy is the documented one.
const OWN: &str = "leasehold";

pub struct Cloud {
    server: AwsServer,
    proxy: Proxy,
    admin: AwsKey,
    own: AwsKey,
    /// The leaver's keys.
    keys: Vec<AwsKey>,
    /// Two of each of the others, and the service account's.
    other_keys: Vec<AwsKey>,
}

fn allow(action: &str) -> String {
    let statement = json!({"Effect": "Allow", "Action": action, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn policy_arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:policy/{name}")
}

/// A user with everything.
fn user(name: &str) -> Vec<(&'static str, Value)> {
    let key = ("create_access_key", json!({"UserName": name}));
    vec![
        ("create_user", json!({"UserName": name, "Tags": [{"Key": "email", "Value": mail(name)}]})),
        ("add_user_to_group", json!({"UserName": name, "GroupName": "payments"})),
        ("attach_user_policy", json!({"UserName": name, "PolicyArn": policy_arn("logs")})),
        key.clone(),
        key,
    ]
}

fn keys(answers: &[Value]) -> Vec<AwsKey> {
    answers.iter().filter(|answer| answer.get("AccessKey").is_some()).map(key_of).collect()
}

fn names(answer: &Value, list: &str, field: &str) -> Vec<String> {
    let items = answer[list].as_array().expect("a list").iter();
    items.map(|item| item[field].as_str().expect("a name").to_owned()).collect()
}

impl Cloud {
    pub fn start() -> Self {
        let server = AwsServer::start();
        let mut calls: Vec<(&str, Value)> = Vec::new();
        for (name, action) in [("buckets", "s3:*"), ("logs", "logs:*")] {
            calls.push(("create_policy", json!({"PolicyName": name, "PolicyDocument": allow(action)})));
        }
        calls.push(("create_group", json!({"GroupName": "payments"})));
        calls.push(("create_group", json!({"GroupName": "treasury"})));
        calls.push((
            "attach_group_policy",
            json!({"GroupName": "payments", "PolicyArn": policy_arn("buckets")}),
        ));
        for (name, document) in [("admin", allow("*")), (OWN, documented("AWS IAM"))] {
            calls.push(("create_user", json!({"UserName": name})));
            calls.push((
                "put_user_policy",
                json!({"UserName": name, "PolicyName": "own", "PolicyDocument": document}),
            ));
            calls.push(("create_access_key", json!({"UserName": name})));
        }
        for login in OTHERS.into_iter().chain([SERVICE]) {
            calls.extend(user(login));
        }
        let mut made = keys(&server.calls(&anybody(), "iam", &calls));
        let other_keys = made.split_off(2);
        let [admin, own] = <[AwsKey; 2]>::try_from(made).expect("two keys");
        server.secret_file("own", &own.secret);
        server.check_requests();
        let proxy = Proxy::start_lying(address_of(&server.url()), Lie::AwsQuery);
        Self { server, proxy, admin, own, keys: Vec::new(), other_keys }
    }

    /// What each key is answered when it is used, with nothing in between that could forgive it.
    fn work(&self, keys: &[AwsKey]) -> Vec<bool> {
        let uses: Vec<_> = keys.iter().map(|key| (key, "s3", "list_buckets", json!({}))).collect();
        self.server.try_calls_as(&uses).iter().map(Result::is_ok).collect()
    }
}

impl Target for Cloud {
    fn name(&self) -> &'static str {
        "cloud"
    }

    fn settings(&self) -> String {
        format!(
            "connector = \"aws_iam\"\nendpoint = \"http://{}\"\naccess_key_id = \"{}\"\nsecret_access_key = \"file:{}\"\n\
             leave_out = \"service_specific_credentials\"\ncorrelate = [\"tag.email = email\"]\n",
            self.proxy.address(),
            self.own.id,
            self.server.folder().join("own").display()
        )
    }

    fn entitlements(&self) -> Vec<String> {
        vec!["group/payments".to_owned(), "policy/logs".to_owned()]
    }

    fn other_entitlements(&self) -> Vec<String> {
        vec!["group/treasury".to_owned()]
    }

    fn held(&mut self, login: &str) -> Option<BTreeSet<String>> {
        let questions = ["get_user", "list_groups_for_user", "list_attached_user_policies"];
        let calls = questions.map(|question| (question, json!({"UserName": login})));
        let answers = self.server.try_calls(&self.admin, "iam", &calls);
        let [user, groups, policies] = answers.as_slice() else { panic!("{answers:?}") };
        user.as_ref().ok()?;
        let named = |answer: &Result<Value, String>, list, field| {
            names(answer.as_ref().expect("an answer"), list, field).into_iter()
        };
        let groups = named(groups, "Groups", "GroupName").map(|name| format!("group/{name}"));
        let policies = named(policies, "AttachedPolicies", "PolicyName").map(|name| format!("policy/{name}"));
        Some(groups.chain(policies).collect())
    }

    fn lets_in(&mut self, _login: &str, first: Option<&FirstCredential>) -> bool {
        let Some(first) = first else { return false };
        let id = first.instructions.split_whitespace().find(|word| word.starts_with("AKIA"));
        let id = id.expect("the key's own name").to_owned();
        self.work(&[AwsKey { id, secret: first.secret.clone(), token: None }]) == [true]
    }

    fn proxy(&mut self) -> &mut Proxy {
        &mut self.proxy
    }

    fn give(&mut self) {
        let of = json!({"UserName": LEAVER});
        let mut calls: Vec<(&str, Value)> = Vec::new();
        for key in &self.keys {
            calls.push(("delete_access_key", json!({"UserName": LEAVER, "AccessKeyId": key.id})));
        }
        for policy in ["LeaseholdDisabled", "LeaseholdSessionsEnded"] {
            calls.push(("delete_user_policy", json!({"UserName": LEAVER, "PolicyName": policy})));
        }
        calls.push(("remove_user_from_group", json!({"UserName": LEAVER, "GroupName": "payments"})));
        calls.push(("detach_user_policy", json!({"UserName": LEAVER, "PolicyArn": policy_arn("logs")})));
        calls.push(("delete_user", of));
        // What is gone already cannot be removed; that nothing is left is what making the user shows.
        let _ = self.server.try_calls(&self.admin, "iam", &calls);
        self.keys = keys(&self.server.calls(&self.admin, "iam", &user(LEAVER)));
    }

    fn left(&mut self) -> Vec<Left> {
        let questions = ["list_access_keys", "list_groups_for_user", "list_attached_user_policies"];
        let of = json!({"UserName": LEAVER});
        let mut calls: Vec<_> =
            questions.iter().map(|question| (&self.admin, "iam", *question, of.clone())).collect();
        calls.extend(self.keys.iter().map(|key| (key, "s3", "list_buckets", json!({}))));
        let mut answers = self.server.try_calls_as(&calls);
        let working = answers.split_off(questions.len()).iter().any(Result::is_ok);
        let answers: Vec<Value> = answers.into_iter().map(|answer| answer.expect("an answer")).collect();
        let mut left = Vec::new();
        if working {
            left.push(Left::LogIn);
        }
        if names(&answers[1], "Groups", "GroupName").contains(&"payments".to_owned()) {
            left.push(Left::Entitlement("group/payments".to_owned()));
            left.push(Left::Entitlement("policy/buckets".to_owned()));
        }
        if names(&answers[2], "AttachedPolicies", "PolicyName").contains(&"logs".to_owned()) {
            left.push(Left::Entitlement("policy/logs".to_owned()));
        }
        let listed = names(&answers[0], "AccessKeyMetadata", "AccessKeyId");
        left.extend(listed.into_iter().map(Left::Credential));
        left
    }

    fn unverifiable(&self) -> Vec<String> {
        // AWS lists no sessions.
        vec!["end_sessions".to_owned()]
    }

    fn speaks_http(&self) -> bool {
        true
    }

    fn check_others_unchanged(&mut self) {
        assert_eq!(self.work(&self.other_keys), [true; 6], "every key of the others works");
        for login in OTHERS.into_iter().chain([SERVICE]) {
            let of = json!({"UserName": login});
            let questions = ["list_user_policies", "list_groups_for_user", "list_attached_user_policies"];
            let answers =
                self.server.calls(&self.admin, "iam", &questions.map(|question| (question, of.clone())));
            assert_eq!(answers[0]["PolicyNames"], json!([]), "nothing is denied to {login}");
            assert_eq!(names(&answers[1], "Groups", "GroupName"), ["payments"]);
            assert_eq!(names(&answers[2], "AttachedPolicies", "PolicyName"), ["logs"]);
        }
    }
}
