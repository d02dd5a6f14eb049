//! What authenticates one user: how each kind is listed, read, stopped and ended.

use jiff::Timestamp;
use leasehold_model::account::LastUse;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::request::CredentialTarget;

use crate::aws_iam::client::{ApiError, Client};
use crate::aws_iam::xml::Node;
use crate::error::ConnectError;

/// Since then AWS keeps when an access key was last used.
const USE_IS_KEPT_SINCE: &str = "2015-04-22T00:00:00Z";

/// One kind of credential as the API offers it.
#[derive(Debug)]
pub(super) struct Listing {
    pub kind: CredentialKind,
    /// Its word in the setting `leave_out`; empty where it cannot be left out.
    pub name: &'static str,
    /// The action that lists them.
    pub action: &'static str,
    list: &'static str,
    /// The element, and parameter, that names one.
    pub id: &'static str,
    created: &'static str,
    /// The action that stops one and brings it back; empty where there is none.
    pub update: &'static str,
    /// The action that ends one.
    pub delete: &'static str,
}

/// Every kind but the password, which is one alone.
pub(super) const LISTINGS: [Listing; 5] = [
    Listing {
        kind: CredentialKind::AccessKey,
        name: "",
        action: "ListAccessKeys",
        list: "AccessKeyMetadata",
        id: "AccessKeyId",
        created: "CreateDate",
        update: "UpdateAccessKey",
        delete: "DeleteAccessKey",
    },
    Listing {
        kind: CredentialKind::MfaDevice,
        name: "mfa_devices",
        action: "ListMFADevices",
        list: "MFADevices",
        id: "SerialNumber",
        created: "EnableDate",
        update: "",
        delete: "DeactivateMFADevice",
    },
    Listing {
        kind: CredentialKind::ApiKey,
        name: "service_specific_credentials",
        action: "ListServiceSpecificCredentials",
        list: "ServiceSpecificCredentials",
        id: "ServiceSpecificCredentialId",
        created: "CreateDate",
        update: "UpdateServiceSpecificCredential",
        delete: "DeleteServiceSpecificCredential",
    },
    Listing {
        kind: CredentialKind::Certificate,
        name: "signing_certificates",
        action: "ListSigningCertificates",
        list: "Certificates",
        id: "CertificateId",
        created: "UploadDate",
        update: "UpdateSigningCertificate",
        delete: "DeleteSigningCertificate",
    },
    Listing {
        kind: CredentialKind::SshKey,
        name: "ssh_public_keys",
        action: "ListSSHPublicKeys",
        list: "SSHPublicKeys",
        id: "SSHPublicKeyId",
        created: "UploadDate",
        update: "UpdateSSHPublicKey",
        delete: "DeleteSSHPublicKey",
    },
];

/// How a kind is listed; `None` for the password and for what IAM does not know.
pub(super) fn listing(kind: CredentialKind) -> Option<&'static Listing> {
    LISTINGS.iter().find(|listing| listing.kind == kind)
}

/// The key of a user's password, which has no id of its own.
pub(super) fn password_key(user_id: &str) -> String {
    format!("password/{user_id}")
}

/// An instant as the API writes one.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// What one user logs in with.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub credentials: Vec<Credential>,
    /// Listings that failed, and why.
    pub failed: Vec<(&'static Listing, ApiError)>,
}

/// Lists everything that authenticates a user, but for the listings named in `without`.
pub(super) async fn of_user(
    client: &Client,
    user: &str,
    user_id: &str,
    password_last_used: Option<Timestamp>,
    without: &[String],
) -> Result<Found, ConnectError> {
    let mut found = Found::default();
    if let Some(created) = password_since(client, user).await? {
        let mut password =
            Credential::new(password_key(user_id), user_id, CredentialKind::Password, "console password");
        password.created_at = created;
        password.last_use = password_last_used.map_or(LastUse::Never, LastUse::At);
        found.credentials.push(password);
    }
    for listing in &LISTINGS {
        if without.iter().any(|name| name == listing.name) {
            continue;
        }
        match of_kind(client, user, user_id, listing).await? {
            Ok(credentials) => found.credentials.extend(credentials),
            Err(error) => found.failed.push((listing, error)),
        }
    }
    for credential in &mut found.credentials {
        if credential.kind == CredentialKind::AccessKey {
            credential.last_use = key_last_use(client, credential).await?;
        }
    }
    Ok(found)
}

/// Lists one kind.
pub(super) async fn of_kind(
    client: &Client,
    user: &str,
    user_id: &str,
    listing: &Listing,
) -> Result<Result<Vec<Credential>, ApiError>, ConnectError> {
    let mut credentials = Vec::new();
    let parameters = [("UserName", user)];
    let ended = client
        .try_pages(listing.action, &parameters, |page| {
            let members = page.members(listing.list);
            credentials.extend(members.filter_map(|member| credential(listing, user_id, member)));
        })
        .await?;
    Ok(ended.map(|()| credentials))
}

fn credential(listing: &Listing, user_id: &str, member: &Node) -> Option<Credential> {
    let id = member.some_text(listing.id)?;
    let mut credential = Credential::new(id, user_id, listing.kind, id);
    // A second factor has no status of its own.
    credential.active = member.some_text("Status").is_none_or(|status| status == "Active");
    credential.created_at = instant(member.text(listing.created));
    credential.expires_at = instant(member.text("ExpirationDate"));
    credential.scope = member.some_text("ServiceName").map(str::to_owned).into_iter().collect();
    Some(credential)
}

/// Whether a user can sign in to the console, and since when it has this password: `None` where it cannot.
pub(super) async fn password_since(
    client: &Client,
    user: &str,
) -> Result<Option<Option<Timestamp>>, ConnectError> {
    let found = client.find("GetLoginProfile", &[("UserName", user)]).await?;
    Ok(found.map(|node| {
        let profile = node.child("LoginProfile");
        profile.and_then(|profile| instant(profile.text("CreateDate")))
    }))
}

async fn key_last_use(client: &Client, key: &Credential) -> Result<LastUse, ConnectError> {
    let parameters = [("AccessKeyId", key.key.as_str())];
    // It may have been deleted since it was listed.
    let Some(node) = client.find("GetAccessKeyLastUsed", &parameters).await? else {
        return Ok(LastUse::Unknown);
    };
    let used = node.child("AccessKeyLastUsed").and_then(|used| instant(used.text("LastUsedDate")));
    let kept_since = instant(USE_IS_KEPT_SINCE);
    Ok(match used {
        Some(at) => LastUse::At(at),
        None if key.created_at.is_some_and(|created| Some(created) >= kept_since) => LastUse::Never,
        None => LastUse::Unknown,
    })
}

/// Whether a credential of a user exists, and whether it can be used.
pub(super) async fn read(
    client: &Client,
    user: &str,
    user_id: &str,
    target: &CredentialTarget,
) -> Result<Option<(bool, bool)>, ConnectError> {
    if target.kind == CredentialKind::Password {
        let exists =
            target.key.as_str() == password_key(user_id) && password_since(client, user).await?.is_some();
        return Ok(Some((exists, exists)));
    }
    let Some(listing) = listing(target.kind) else { return Ok(None) };
    let credentials = of_kind(client, user, user_id, listing)
        .await?
        .map_err(|error| client.target_error(listing.action, &error))?;
    let found = credentials.into_iter().find(|credential| credential.key == target.key);
    Ok(Some(found.map_or((false, false), |credential| (true, credential.active))))
}
