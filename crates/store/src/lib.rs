//! SQL for SQLite and PostgreSQL behind one set of verbs.
//!
//! Facts are intervals over epochs: an unchanged grant costs no write when its system is read again, and "as it stood
//! then" is a query. Claims, plans, actions and the ledger's entries stand beside them, each entry in the transaction
//! of the change that it records.

mod action;
mod action_list;
mod api_token;
mod baseline;
mod commit_mark;
mod connection;
mod credential_link;
mod db;
mod departure;
mod device_login;
mod dictionary;
mod diff;
mod direct;
mod drift_sample;
mod epoch;
pub mod error;
mod feed_end;
mod finish;
mod first_log_in;
mod gather;
mod history;
mod idempotency;
mod ledger;
mod lifecycle;
mod migrate;
mod pair;
mod pair_changes;
mod passkey;
mod plan;
mod plan_list;
mod policy;
mod problems;
mod provider_user;
mod read_back;
mod receipt;
mod revision;
mod revocation;
mod schedule;
mod scim;
mod second_factor;
mod session;
mod sign_in_failure;
mod sign_in_link;
mod snapshot;
mod stage;
mod steward;
mod store;
mod task;
mod timeline;
mod told;
mod transition;
mod transition_queue;
mod turn;
mod user;
mod waiting;
mod webhook;
mod webhook_delivery;
mod webhook_queue;

pub use action::ActionRow;
pub use action_list::{ActionFilter, ActionOrder};
pub use api_token::{ApiToken, NewApiToken};
pub use credential_link::{CredentialLink, CredentialLinkState, LinkEnd, NewCredentialLink};
pub use db::commits;
pub use departure::Departure;
pub use device_login::{DeviceAnswer, DeviceLogin};
pub use drift_sample::DriftSample;
pub use epoch::{EpochWriter, Loss, Losses};
pub use error::{Result, StoreError};
pub use feed_end::FeedCut;
pub use finish::{ChangeCounts, EpochReport};
pub use first_log_in::MadeAccount;
pub use idempotency::{IdempotentAnswer, IdempotentCall};
pub use ledger::Event;
pub use migrate::newest as newest_migration;
pub use passkey::PasskeyRow;
pub use plan_list::{GuardOverride, PlanRow, state_digest};
pub use policy::PolicyRevision;
pub use provider_user::{ProviderLogout, ProviderSubject};
pub use read_back::ObservedEffect;
pub use receipt::{ActionAbout, NewLeaving, ReceiptRow, SettledIdentity};
pub use revision::Revision;
pub use revocation::{LeaverRevocation, RevocationTimes};
pub use schedule::{ReadingEnd, ReadingOutcome, ScheduleRow};
pub use scim::{
    PushFeed, ScimAuthority, ScimContent, ScimDecide, ScimDecision, ScimGroup, ScimMember, ScimPlace,
    ScimQueue, ScimReading, ScimRefusal, ScimResource, ScimSought, ScimWrite, ScimWritten, Sent,
    SentResource, UnreadPushes, bring_scim_answers,
};
pub use second_factor::OneTimeCode;
pub use session::{NewSession, ProviderSession, Session, SessionUse};
pub use sign_in_failure::Failures;
pub use sign_in_link::{LinkKind, SignInLink};
pub use store::{Store, StoreOptions};
pub use task::{NewTask, Requested, TaskClaim, TaskFilter, TaskRow, TaskState};
pub use timeline::{Change, TimelineEntry};
pub use transition::{Transition, TransitionOutcome, TransitionRow};
pub use transition_queue::BegunTransition;
pub use user::{NewUser, User, UserChange, UserState};
pub use webhook::{NewWebhook, WEBHOOKS_MAX, Webhook, WebhookChange, WebhookState};
pub use webhook_delivery::{AttemptEnd, Delivery, DeliveryState};
pub use webhook_queue::Message;
