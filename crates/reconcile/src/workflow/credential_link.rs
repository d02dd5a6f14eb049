//! A new credential, handed to its holder by a link that works once: for an account that has none yet, and in place of one
//! that is to end after a time for which both stay.
//!
//! The secret goes from the target to whoever opens the link and is kept nowhere. The link gives nobody access that a plan
//! did not give: it is made for an account that is there and open, of somebody who may hold access, and it is refused when
//! that has changed by the time somebody opens it. An account that its system opens with its first credential counts as open.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leasehold_decide::engine::AccountIndex;
use leasehold_decide::evaluate::Evaluation;
use leasehold_model::capability::Capabilities;
use leasehold_model::credential::CredentialKind;
use leasehold_model::id::{ActionId, CredentialKey, IdentityKey, SystemName};
use leasehold_model::request::{AccountTarget, CredentialTarget, IssueRequest, Issued, ReadBack, ReadTarget};
use leasehold_store::{CredentialLink, LinkEnd, NewCredentialLink, Store, StoreError};

use crate::error::ReconcileError;
use crate::pace::SharedPace;
use crate::stages::decide::Loaded;
use crate::system::{System, Systems};

/// How long a link lasts where nothing is said.
pub const LASTS_DEFAULT: SignedDuration = SignedDuration::from_hours(72);
/// The longest that a link may last: what lies in a mailbox is found by others, sooner or later.
pub const LASTS_MAX: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The longest for which a replaced credential may stay.
pub const OVERLAP_MAX: SignedDuration = SignedDuration::from_hours(90 * 24);
/// A target that has not answered by then has not made a credential, as far as whoever waits is concerned.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where.
    pub system: SystemName,
    /// The account, by its login or its key.
    pub account: String,
    /// The key of the credential that the new one replaces.
    pub replaces: Option<String>,
    /// For how long both stay.
    pub overlap: SignedDuration,
    /// How long the link lasts.
    pub lasts: SignedDuration,
}

/// Why there is no link, or why it gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The system is not configured.
    #[error("there is no system `{0}` in leasehold.toml")]
    UnknownSystem(SystemName),
    /// No account is meant, or several are.
    #[error(
        "{system} has no account `{account}` that is known; `leasehold sync {system}` reads which there are"
    )]
    UnknownAccount {
        /// Where.
        system: SystemName,
        /// What was asked for.
        account: String,
    },
    /// It is not known whose it is.
    #[error("it is not known whose account {0} is; say so with `[correlate.\"{0}\"]`")]
    Orphan(String),
    /// The account lets nobody in.
    #[error("the account {0} is disabled: it must be open before somebody gets a credential for it")]
    Disabled(String),
    /// Its holder may hold nothing.
    #[error("{0} may hold no access at present, so there is nothing to let them in by")]
    NotLive(IdentityKey),
    /// The connector makes none.
    #[error("the connector of {0} makes no credentials; it is done in the system itself")]
    CannotIssue(SystemName),
    /// The connector ends none, so that none could be replaced.
    #[error("the connector of {0} ends no credentials, so none can be replaced here")]
    CannotReplace(SystemName),
    /// The credential to be replaced is not one of the account.
    #[error("{account} has no credential `{credential}`; the list of credentials shows which there are")]
    UnknownCredential {
        /// Whose it would be.
        account: String,
        /// What was asked for.
        credential: String,
    },
    /// A time is too short or too long.
    #[error("{0}")]
    Time(String),
    /// The link was opened, has expired or was taken back.
    #[error("this link was opened, has expired or was taken back; ask for another one")]
    NotInForce,
    /// The target made none.
    #[error("no credential was made: {0}")]
    Target(String),
    /// The facts contradict each other.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A link that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Which.
    pub link: CredentialLink,
    /// What was made. Its secret is here and nowhere else.
    pub issued: Issued,
    /// What is known of it, for people.
    pub remark: String,
}

/// Whom an account belongs to, and the account itself, where a link for it may be made.
///
/// # Errors
/// [`Refusal`], with the way on.
pub fn check(
    loaded: &Loaded,
    capabilities: &Capabilities,
    wanted: &Wanted,
) -> Result<NewCredentialLink, Refusal> {
    let Wanted { system, account: asked, replaces, overlap, lasts } = wanted;
    if *lasts <= SignedDuration::ZERO || *lasts > LASTS_MAX {
        let days = LASTS_MAX.as_hours() / 24;
        return Err(Refusal::Time(format!("a link lasts up to {days} days, and longer than nothing")));
    }
    if *overlap < SignedDuration::ZERO || *overlap > OVERLAP_MAX {
        let days = OVERLAP_MAX.as_hours() / 24;
        return Err(Refusal::Time(format!("both credentials stay for up to {days} days")));
    }
    if !capabilities.issue_credential.supported {
        return Err(Refusal::CannotIssue(system.clone()));
    }
    let evaluation = loaded.evaluate()?;
    let index = find(&evaluation, system, asked)
        .ok_or_else(|| Refusal::UnknownAccount { system: system.clone(), account: asked.clone() })?;
    let observed = &evaluation.account(index).account;
    let name = format!("{system}:{}", observed.login);
    let identity = evaluation.graph.identity_of(index).ok_or_else(|| Refusal::Orphan(name.clone()))?;
    let identity = &evaluation.identities[identity.index()];
    if !identity.may_hold_access(loaded.now) {
        return Err(Refusal::NotLive(identity.key.clone()));
    }
    if !observed.takes_credentials() {
        return Err(Refusal::Disabled(name));
    }
    let replaces =
        match replaces {
            None => None,
            Some(_) if !capabilities.revoke_credential.supported => {
                return Err(Refusal::CannotReplace(system.clone()));
            }
            Some(credential) => Some(find_credential(&evaluation, index, credential).ok_or_else(|| {
                Refusal::UnknownCredential { account: name, credential: credential.clone() }
            })?),
        };
    Ok(NewCredentialLink {
        system: system.clone(),
        account: AccountTarget { key: observed.key.clone(), login: observed.login.clone() },
        identity: identity.key.clone(),
        replaces,
        overlap_ms: i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX),
        expires_at: loaded.now.checked_add(*lasts).unwrap_or(Timestamp::MAX),
    })
}

/// The account with this key, or else the only one with this login.
fn find(evaluation: &Evaluation<'_>, system: &SystemName, asked: &str) -> Option<AccountIndex> {
    let snapshot = evaluation.inputs.snapshot;
    let position = snapshot.system_position(system)?;
    let of_system = || {
        let accounts = (0u32..).zip(&snapshot.accounts);
        accounts.filter(move |(_, account)| account.system == position)
    };
    let by_key = of_system().find(|(_, account)| account.account.key.as_str() == asked);
    let mut by_login = of_system().filter(|(_, account)| account.account.login == asked);
    let found = by_key.or_else(|| by_login.next().filter(|_| by_login.next().is_none()));
    found.map(|(position, _)| evaluation.index_of(position))
}

fn find_credential(evaluation: &Evaluation<'_>, account: AccountIndex, asked: &str) -> Option<CredentialKey> {
    let snapshot = evaluation.inputs.snapshot;
    let of_account = snapshot.credentials_of(evaluation.position_of(account));
    let found = of_account.iter().find(|credential| credential.credential.key.as_str() == asked);
    found.map(|credential| credential.credential.key.clone())
}

/// Opens a link: makes the credential, reads it back where the target lists credentials, and gives its secret.
///
/// The link is used up before the target is asked (law 8). A process that dies in between leaves it opened, with nothing known
/// of what came of it, and another one is made.
///
/// # Errors
/// [`Refusal`]. Where the account or its holder changed meanwhile, the link is not used up.
pub async fn open(
    store: &Store,
    systems: &Systems,
    pace: &SharedPace,
    loaded: &Loaded,
    token_hash: &str,
) -> Result<Opened, Refusal> {
    let link = store.credential_link(token_hash, pace.now()).await?.ok_or(Refusal::NotInForce)?;
    let of = &link.of;
    let system = systems.get(&of.system).ok_or_else(|| Refusal::UnknownSystem(of.system.clone()))?;
    let wanted = Wanted {
        system: of.system.clone(),
        account: of.account.key.to_string(),
        replaces: None,
        overlap: SignedDuration::ZERO,
        lasts: LASTS_DEFAULT,
    };
    let checked = check(loaded, &system.connector.capabilities(), &wanted)?;
    if checked.identity.folded() != of.identity.folded() {
        // It is somebody else's account by now.
        return Err(Refusal::NotLive(of.identity.clone()));
    }
    let opened = store.open_credential_link(token_hash, pace.now()).await?;
    let link = opened.ok_or(Refusal::NotInForce)?;
    let issued = match issue(system, &link).await {
        Ok(issued) => issued,
        Err(why) => {
            let end = LinkEnd::NotIssued { why: why.clone() };
            store.end_credential_link(&link, &end, pace.now()).await?;
            return Err(Refusal::Target(why));
        }
    };
    let remark = read_back(system, &link, issued.credential.as_ref(), issued.kind).await;
    let credential = issued.credential.as_ref().map(|credential| credential.key.clone());
    let end = LinkEnd::Issued { credential, remark: remark.clone() };
    // Whoever opened the link gets what was made, whatever the store says: it cannot be made to be not made.
    if let Err(error) = store.end_credential_link(&link, &end, pace.now()).await {
        tracing::error!(%error, link = %link.id, "what came of a credential link could not be recorded");
    }
    Ok(Opened { link, issued, remark })
}

async fn issue(system: &System, link: &CredentialLink) -> Result<Issued, String> {
    let request = IssueRequest { id: ActionId(link.id.clone()), account: link.of.account.clone() };
    match tokio::time::timeout(ANSWERS_WITHIN, system.connector.issue_credential(&request)).await {
        Ok(Ok(issued)) => Ok(issued),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "{} did not answer within {} seconds; whether it made one is not known",
            system.name,
            ANSWERS_WITHIN.as_secs()
        )),
    }
}

/// Law 2: what was made is looked at, where the target shows it.
async fn read_back(
    system: &System,
    link: &CredentialLink,
    credential: Option<&CredentialTarget>,
    kind: CredentialKind,
) -> String {
    let kind = kind.as_str().replace('_', " ");
    let Some(credential) = credential else {
        return format!("{kind}: made; the system does not list it, so it was not read back");
    };
    let target = ReadTarget::Credential { account: link.of.account.clone(), credential: credential.clone() };
    let read = tokio::time::timeout(ANSWERS_WITHIN, system.connector.read_back(&target)).await;
    match read {
        Ok(Ok(ReadBack::Credential { exists: true, active: true })) => format!("{kind}: made and read back"),
        Ok(Ok(ReadBack::Credential { .. })) => {
            format!("{kind}: made, and not there or not usable when it was read back")
        }
        _ => format!("{kind}: made; it could not be read back"),
    }
}
