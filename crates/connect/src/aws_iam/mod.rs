//! AWS IAM: the users of one account with what they log in with; groups, policies and roles as entitlements.
//!
//! * Accounts are IAM users, by their unique id: names can be changed and used again. The account's root is told as an
//!   account of its own, which is never touched.
//! * `group/NAME`, `policy/NAME` (the account's own), `aws-policy/NAME` (kept by AWS) and `inline-policy/user/USER/NAME`
//!   are held by users; a group contains its policies, inline ones as `inline-policy/group/GROUP/NAME`.
//! * `role/NAME` is held by whoever may assume it: directly by the users whom its trust policy names, and through every
//!   policy that lets its holder assume a role that trusts the account. A role contains its policies, and
//!   `instance-profile/NAME` contains its role.
//! * `Deny` statements, conditions and permissions boundaries are not weighed: access is told as the most that it can be.
//! * Two inline policies of a user are Leasehold's own, and no entitlements: `LeaseholdDisabled` stops the user, and
//!   `LeaseholdSessionsEnded` denies what sessions before an instant ask for.

mod client;
mod credentials;
mod delete;
mod document;
mod enumerate;
mod execute;
mod issue;
mod name;
mod paths;
mod read_back;
mod settings;
mod xml;

use async_trait::async_trait;
use leasehold_model::capability::{Capabilities, Capability};
use leasehold_model::fact::Completeness;
use leasehold_model::request::{ActionRequest, IssueRequest, Issued, Outcome, ReadBack, ReadTarget};
use leasehold_model::setting::{SettingField, SettingKind};

use crate::aws_iam::client::Client;
use crate::connector::{Connector, ConnectorKind, Sink, TestReport};
use crate::error::ConnectError;
use crate::settings::Settings;

/// The registry's entry.
pub struct AwsIamKind;

/// One AWS account.
struct AwsIam {
    client: Client,
}

const CAPABILITIES: Capabilities = Capabilities {
    enumerate: Capability::YES,
    prove_completeness: Capability::with(
        "the last page, and users, groups, roles and policies as many as GetAccountSummary counts before and after",
    ),
    read_back: Capability::with("IAM shows a change some seconds late"),
    grant: Capability::with("groups and managed policies; not inline policies, and not roles"),
    revoke: Capability::with("not roles: who may assume one is written in its trust policy"),
    create_account: Capability::with(
        "with nothing to log in with; email, employee_number and display_name become tags",
    ),
    disable_account: Capability::with(
        "IAM has no switch: the inline policy LeaseholdDisabled denies everything, to keys and live sessions too; keys and \
         password stay until they are revoked",
    ),
    enable_account: Capability::with("by deleting LeaseholdDisabled"),
    delete_account: Capability::with(
        "with its credentials, memberships and policies, which IAM wants gone first",
    ),
    list_credentials: Capability::with(
        "password, access keys, second factors, service-specific credentials, signing certificates, SSH public keys; of \
         root only whether it has access keys",
    ),
    issue_credential: Capability::with("an access key beside those that are there; IAM lets a user have two"),
    disable_credential: Capability::with("not passwords and second factors, which can only be deleted"),
    revoke_credential: Capability::YES,
    rotate_credential: Capability::with(
        "access keys: another one is issued, and the old one is revoked after the overlap",
    ),
    list_sessions: Capability::without("AWS lists no sessions"),
    end_sessions: Capability::with(
        "by the inline policy LeaseholdSessionsEnded, which denies everything to sessions that began before; not sessions \
         of roles that the user assumed, and there is no list to look whether they are gone",
    ),
    last_use: Capability::with("of password and access keys; of no other credential"),
    ..Capabilities::NONE
};

/// What a form asks for.
const FIELDS: &[SettingField] = &[
    SettingField::required(
        "access_key_id",
        "Access key id",
        SettingKind::Text,
        "Of Leasehold's own user in the account.",
        "AKIAIOSFODNN7EXAMPLE",
    ),
    SettingField::required(
        "secret_access_key",
        "Secret access key",
        SettingKind::Secret,
        "Of that access key.",
        "",
    ),
    SettingField::optional(
        "region",
        "Region",
        SettingKind::Text,
        "Any of the account's partition; us-east-1 where none is named.",
    ),
    SettingField::optional(
        "endpoint",
        "Endpoint",
        SettingKind::Text,
        "Only where IAM and STS are not AWS's own.",
    ),
    SettingField::optional(
        "ca_certificate",
        "Certificate authority",
        SettingKind::File,
        "A PEM file beside leasehold.toml, for such an endpoint.",
    ),
    SettingField::optional(
        "leave_out",
        "Leave out",
        SettingKind::List,
        "Listings of credentials that the endpoint or our rights do not offer, one in each line.",
    ),
];

impl ConnectorKind for AwsIamKind {
    fn name(&self) -> &'static str {
        "aws_iam"
    }

    fn summary(&self) -> &'static str {
        "AWS IAM: users with their keys and other credentials, groups, policies, roles that can be assumed"
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn fields(&self) -> &'static [SettingField] {
        FIELDS
    }

    fn build(&self, settings: &mut Settings) -> Result<Box<dyn Connector>, ConnectError> {
        Ok(Box::new(AwsIam { client: Client::new(settings::read(settings)?) }))
    }
}

#[async_trait]
impl Connector for AwsIam {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn test(&self) -> Result<TestReport, ConnectError> {
        read_back::test(&self.client).await
    }

    async fn enumerate(&self, sink: &mut dyn Sink) -> Result<Completeness, ConnectError> {
        enumerate::enumerate(&self.client, sink).await
    }

    async fn read_back(&self, target: &ReadTarget) -> Result<ReadBack, ConnectError> {
        read_back::read_back(&self.client, target).await
    }

    async fn execute(&self, request: &ActionRequest) -> Result<Outcome, ConnectError> {
        execute::execute(&self.client, request).await
    }

    async fn issue_credential(&self, request: &IssueRequest) -> Result<Issued, ConnectError> {
        issue::issue(&self.client, request).await
    }
}
