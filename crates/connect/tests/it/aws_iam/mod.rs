//! The `aws_iam` connector against an account on loopback that checks signatures and policies, looked at with AWS's own
//! client.

mod changes;
pub mod contract;
mod credentials;
mod enumeration;
mod failures;
mod issuing;

use leasehold_connect::connector::Connector;
use leasehold_model::request::AccountTarget;
use leasehold_testing::aws::anybody;
use leasehold_testing::{AwsKey, AwsServer};
use serde_json::{Value, json};

use crate::harness::build;

/// The rights of `docs/operating.md`: no more than these.
pub const RIGHTS: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Resource": "*", "Action": ["iam:Get*", "iam:List*"]},
    {"Effect": "Allow", "Resource": "*", "Action": [
      "iam:AddUserToGroup", "iam:RemoveUserFromGroup", "iam:AttachUserPolicy", "iam:DetachUserPolicy",
      "iam:PutUserPolicy", "iam:DeleteUserPolicy",
      "iam:CreateUser", "iam:TagUser", "iam:DeleteUser", "iam:DeleteLoginProfile",
      "iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:DeleteAccessKey",
      "iam:UpdateSigningCertificate", "iam:DeleteSigningCertificate",
      "iam:UpdateSSHPublicKey", "iam:DeleteSSHPublicKey",
      "iam:UpdateServiceSpecificCredential", "iam:DeleteServiceSpecificCredential",
      "iam:DeactivateMFADevice", "iam:DeleteVirtualMFADevice"
    ]}
  ]
}
"#;

/// What the account on loopback does not offer.
pub const LEFT_OUT: &str = "leave_out = 'service_specific_credentials'";

/// A company's account.
pub struct Company {
    pub server: AwsServer,
    /// An administrator, who is not Leasehold.
    pub admin: AwsKey,
    /// Leasehold's own user.
    pub own: AwsKey,
    pub alice: AwsKey,
    pub bob: AwsKey,
}

/// A policy document that allows an action.
pub fn allow(action: &str, resource: &str) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}],
    })
    .to_string()
}

fn trust(principal: &Value) -> String {
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    })
    .to_string()
}

impl Company {
    /// Alice and Bob are in `eng`; Alice has a policy of each sort, a password without a second factor, two roles and a
    /// key. Every request is checked from then on.
    pub fn start() -> Self {
        let server = AwsServer::start();
        let setup = anybody();
        let mut calls: Vec<(&str, Value)> = Vec::new();
        let mut iam = |operation: &'static str, parameters: Value| calls.push((operation, parameters));
        for user in ["admin", "leasehold", "alice", "bob"] {
            iam("create_user", json!({"UserName": user}));
        }
        for (user, document) in [("admin", allow("*", "*")), ("leasehold", RIGHTS.to_owned())] {
            iam(
                "put_user_policy",
                json!({"UserName": user, "PolicyName": "all", "PolicyDocument": document}),
            );
        }
        iam(
            "tag_user",
            json!({"UserName": "alice", "Tags": [{"Key": "email", "Value": "alice@example.com"}]}),
        );
        iam("create_group", json!({"GroupName": "eng"}));
        for user in ["alice", "bob"] {
            iam("add_user_to_group", json!({"GroupName": "eng", "UserName": user}));
        }
        let deploy_roles = "arn:aws:iam::123456789012:role/deploy*";
        for (name, document) in
            [("buckets", allow("s3:*", "*")), ("deploys", allow("sts:AssumeRole", deploy_roles))]
        {
            iam("create_policy", json!({"PolicyName": name, "PolicyDocument": document}));
        }
        let own = |name: &str| format!("arn:aws:iam::123456789012:policy/{name}");
        iam("attach_group_policy", json!({"GroupName": "eng", "PolicyArn": own("buckets")}));
        let document = allow("logs:*", "*");
        iam(
            "put_group_policy",
            json!({"GroupName": "eng", "PolicyName": "logs", "PolicyDocument": document}),
        );
        iam("attach_user_policy", json!({"UserName": "alice", "PolicyArn": own("deploys")}));
        let read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess";
        iam("attach_user_policy", json!({"UserName": "alice", "PolicyArn": read_only}));
        let document = allow("ec2:*", "*");
        iam("put_user_policy", json!({"UserName": "alice", "PolicyName": "own", "PolicyDocument": document}));
        let account = json!({"AWS": "arn:aws:iam::123456789012:root"});
        let alone = json!({"AWS": "arn:aws:iam::123456789012:user/alice"});
        for (role, principal) in
            [("deploy", account), ("alices", alone), ("machines", json!({"Service": "ec2.amazonaws.com"}))]
        {
            let document = trust(&principal);
            iam("create_role", json!({"RoleName": role, "AssumeRolePolicyDocument": document}));
        }
        let admin_access = "arn:aws:iam::aws:policy/AdministratorAccess";
        iam("attach_role_policy", json!({"RoleName": "deploy", "PolicyArn": admin_access}));
        iam("create_instance_profile", json!({"InstanceProfileName": "fleet"}));
        iam("add_role_to_instance_profile", json!({"InstanceProfileName": "fleet", "RoleName": "machines"}));
        iam("create_login_profile", json!({"UserName": "alice", "Password": "Correct-horse-9"}));
        let users = ["admin", "leasehold", "alice", "bob"];
        for user in users {
            iam("create_access_key", json!({"UserName": user}));
        }
        let answers = server.calls(&setup, "iam", &calls);
        let keys = &answers[answers.len() - users.len()..];
        let [admin, own, alice, bob] = [0, 1, 2, 3].map(|index| leasehold_testing::aws::key_of(&keys[index]));
        server.check_requests();
        Self { server, admin, own, alice, bob }
    }

    /// The connector.
    pub fn connector(&self) -> Box<dyn Connector> {
        self.connector_with(LEFT_OUT)
    }

    /// One that asks at another address, as Leasehold's own user.
    pub fn connector_at(&self, url: &str, more: &str) -> Box<dyn Connector> {
        let secret = self.server.secret_file("between.secret", &self.own.secret);
        let (id, secret) = (&self.own.id, secret.display());
        build(
            "aws_iam",
            &format!(
                "endpoint = '{url}'\naccess_key_id = '{id}'\nsecret_access_key = 'file:{secret}'\n{more}"
            ),
        )
    }

    /// The same with other settings.
    pub fn connector_with(&self, more: &str) -> Box<dyn Connector> {
        connector(&self.server, &self.own, more)
    }

    /// A call by the administrator.
    pub fn iam(&self, operation: &str, parameters: Value) -> Value {
        self.server.call(&self.admin, "iam", operation, parameters)
    }

    /// The target of a user, with its id.
    pub fn user(&self, name: &str) -> AccountTarget {
        let user = self.iam("get_user", json!({"UserName": name}));
        let id = user["User"]["UserId"].as_str().expect("an id");
        AccountTarget { key: id.into(), login: name.to_owned() }
    }

    /// What AWS answers to a key that lists buckets: nothing, or the code of an error.
    pub fn lists_buckets(&self, key: &AwsKey) -> Result<(), String> {
        self.server.try_call(key, "s3", "list_buckets", json!({})).map(|_| ())
    }

    /// Names of the groups of a user, as AWS's own client reads them.
    pub fn groups(&self, user: &str) -> Vec<String> {
        let groups = self.iam("list_groups_for_user", json!({"UserName": user}));
        let groups = groups["Groups"].as_array().expect("groups").iter();
        groups.map(|group| group["GroupName"].as_str().expect("a name").to_owned()).collect()
    }
}

/// A connector that logs in with a key.
pub fn connector(server: &AwsServer, key: &AwsKey, more: &str) -> Box<dyn Connector> {
    let secret = server.secret_file(&format!("{}.secret", key.id), &key.secret);
    build(
        "aws_iam",
        &format!(
            "endpoint = '{}'\naccess_key_id = '{}'\nsecret_access_key = 'file:{}'\n{more}",
            server.url(),
            key.id,
            secret.display()
        ),
    )
}
