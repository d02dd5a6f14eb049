//! What identity providers push over SCIM: kept durably, written and read by many requests at once in one transaction.

/// Whether an authority is in force: the token, the system that it is for, the instant, and the version of the token's owner.
macro_rules! in_force {
    () => {
        "SELECT COUNT(*) FROM api_token JOIN app_user ON app_user.id = api_token.user_id
         WHERE api_token.id = $1 AND api_token.system = $2 AND api_token.revoked_at IS NULL
           AND api_token.expires_at > $3 AND app_user.state = 'active' AND app_user.version = $4"
    };
}

mod answers;
mod change;
mod feed;
mod groups;
mod members;
mod new;
mod only_new;
mod queue;
mod read;
mod remembered;
mod sent;
mod write;
mod write_queue;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

pub use answers::bring_scim_answers;
pub use feed::{PushFeed, UnreadPushes};
pub use queue::ScimQueue;
pub use read::{ScimReading, ScimSought};
pub use sent::{Sent, SentResource};
pub use write::{ScimContent, ScimDecide, ScimDecision, ScimWrite, ScimWritten};

/// Which resources: those of one type in one system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScimPlace {
    /// The system that they were pushed into.
    pub system: String,
    /// The resource type.
    pub kind: &'static str,
    /// Whether resources of this type have members.
    pub has_members: bool,
    /// The type of those whose members they are told to be; none where that is not told.
    pub member_of: Option<&'static str>,
}

/// A resource as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimResource {
    /// Its id, given by us.
    pub id: String,
    /// The resource as it is sent: a JSON object without `meta` and without members.
    pub document: Arc<str>,
    /// Raised by every change.
    pub version: i64,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// Who is in it, by id; empty unless they were asked for.
    pub members: Vec<ScimMember>,
    /// What it is itself a member of, by id; empty unless that is told of its type and was asked for.
    pub groups: Vec<ScimGroup>,
    /// How it was sent before.
    pub sent: Sent,
}

/// A group that somebody is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimGroup {
    /// The group's id.
    pub id: String,
    /// What it is called.
    pub display: Option<String>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimMember {
    /// The member's id.
    pub id: String,
    /// What was sent of it: a JSON object.
    pub document: String,
}

/// By whose authority something is done: a token of a user as they were when their authority was looked at.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ScimAuthority {
    /// The token's id.
    pub token: String,
    /// The version of its owner.
    pub owner_version: i64,
}

impl fmt::Debug for ScimAuthority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScimAuthority").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Why nothing was read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScimRefusal {
    /// The token is not in force any more, or its owner is not as they were.
    #[error("the token is not in force any more, or its owner has changed")]
    NotInForce,
    /// So many requests wait already that this one would wait too long.
    #[error("too many requests wait for the store")]
    Busy,
    /// The store failed; what was wrong is for the log.
    #[error("{0}")]
    Failed(String),
}
