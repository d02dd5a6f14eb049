//! Which roles a user can assume, and by that what it holds through them.

use std::collections::{BTreeSet, VecDeque};

use crate::aws_iam::client::Client;
use crate::aws_iam::document::Document;
use crate::aws_iam::name::{DISABLED, SESSIONS_ENDED};
use crate::aws_iam::read_back::User;
use crate::error::ConnectError;

/// Policies of a user, group or role.
const OF_USER: Holder = Holder {
    name: "UserName",
    list_attached: "ListAttachedUserPolicies",
    list_inline: "ListUserPolicies",
    get_inline: "GetUserPolicy",
};
const OF_GROUP: Holder = Holder {
    name: "GroupName",
    list_attached: "ListAttachedGroupPolicies",
    list_inline: "ListGroupPolicies",
    get_inline: "GetGroupPolicy",
};
const OF_ROLE: Holder = Holder {
    name: "RoleName",
    list_attached: "ListAttachedRolePolicies",
    list_inline: "ListRolePolicies",
    get_inline: "GetRolePolicy",
};

struct Holder {
    name: &'static str,
    list_attached: &'static str,
    list_inline: &'static str,
    get_inline: &'static str,
}

/// A role as far as assuming it goes.
struct Role {
    name: String,
    arn: String,
    trust: Option<Document>,
}

/// Names of every role that a user can come to, from role to role.
pub(super) async fn roles_of(
    client: &Client,
    user: &User,
    groups: &[String],
) -> Result<BTreeSet<String>, ConnectError> {
    let account = user.arn.split(':').nth(4).unwrap_or_default();
    let mut roles = Vec::new();
    client
        .pages("ListRoles", &[], |page| {
            roles.extend(page.members("Roles").map(|role| Role {
                name: role.text("RoleName").to_owned(),
                arn: role.text("Arn").to_owned(),
                trust: Document::parse(role.text("AssumeRolePolicyDocument")),
            }));
        })
        .await?;
    let mut documents = documents_of(client, &OF_USER, &user.name).await?;
    for group in groups {
        documents.extend(documents_of(client, &OF_GROUP, group).await?);
    }
    let mut reached = BTreeSet::new();
    let mut next = VecDeque::from([(user.arn.clone(), documents)]);
    while let Some((arn, documents)) = next.pop_front() {
        for role in &roles {
            let Some(trust) = &role.trust else { continue };
            let lets = || documents.iter().any(|document| document.lets_assume(&role.arn));
            let comes_there = trust.trusts(&arn) || (trust.trusts_account(account) && lets());
            if comes_there && reached.insert(role.name.clone()) {
                let documents = documents_of(client, &OF_ROLE, &role.name).await?;
                next.push_back((role.arn.clone(), documents));
            }
        }
    }
    Ok(reached)
}

async fn documents_of(client: &Client, holder: &Holder, name: &str) -> Result<Vec<Document>, ConnectError> {
    let (mut attached, mut inline, mut documents) = (Vec::new(), Vec::new(), Vec::new());
    let parameters = [(holder.name, name)];
    client
        .pages(holder.list_attached, &parameters, |page| {
            let members = page.members("AttachedPolicies");
            attached.extend(members.map(|policy| policy.text("PolicyArn").to_owned()));
        })
        .await?;
    client
        .pages(holder.list_inline, &parameters, |page| {
            inline.extend(page.texts("PolicyNames").map(str::to_owned));
        })
        .await?;
    for arn in attached {
        documents.extend(managed_document(client, &arn).await?);
    }
    for policy in inline.iter().filter(|name| ![DISABLED, SESSIONS_ENDED].contains(&name.as_str())) {
        let parameters = [(holder.name, name), ("PolicyName", policy.as_str())];
        if let Some(node) = client.find(holder.get_inline, &parameters).await? {
            documents.extend(Document::parse(node.text("PolicyDocument")));
        }
    }
    Ok(documents)
}

/// The document of a managed policy that is in force; `None` where there is none, or it cannot be understood.
pub(super) async fn managed_document(client: &Client, arn: &str) -> Result<Option<Document>, ConnectError> {
    let Some(node) = client.find("GetPolicy", &[("PolicyArn", arn)]).await? else { return Ok(None) };
    let version = node.child("Policy").map(|policy| policy.text("DefaultVersionId")).unwrap_or_default();
    let parameters = [("PolicyArn", arn), ("VersionId", version)];
    let Some(node) = client.find("GetPolicyVersion", &parameters).await? else { return Ok(None) };
    Ok(node.child("PolicyVersion").and_then(|version| Document::parse(version.text("Document"))))
}
