//! The policy as people write it: one TOML document a thing, every value with its place in its file.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

/// One policy file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Bundles of entitlements for a job task.
    #[serde(default)]
    pub role: BTreeMap<Spanned<String>, RoleDocument>,
    /// Roles or entitlements given to one identity until a date.
    #[serde(default)]
    pub assignment: BTreeMap<Spanned<String>, AssignmentDocument>,
    /// Entitlements that one identity may hold outside of its roles until a date.
    #[serde(default)]
    pub exception: BTreeMap<Spanned<String>, ExceptionDocument>,
    /// Combinations that one identity may not hold.
    #[serde(default)]
    pub sod: BTreeMap<Spanned<String>, SodDocument>,
    /// Who answers for entitlements and accounts.
    #[serde(default)]
    pub owner: BTreeMap<Spanned<String>, OwnerDocument>,
    /// Bounds on what a plan may do to a system, by the system's name.
    #[serde(default)]
    pub guard: BTreeMap<Spanned<String>, GuardDocument>,
    /// Accounts that no plan touches.
    #[serde(default)]
    pub protect: BTreeMap<Spanned<String>, ProtectDocument>,
    /// Emergency accounts that no plan touches.
    #[serde(default)]
    pub break_glass: BTreeMap<Spanned<String>, BreakGlassDocument>,
    /// Non-humans that no feed lists, by their key.
    #[serde(default)]
    pub identity: BTreeMap<Spanned<String>, IdentityDocument>,
    /// Whose an account is, where the rules cannot say, by `system:login`.
    #[serde(default)]
    pub correlate: BTreeMap<Spanned<String>, CorrelateDocument>,
    /// When unused accounts and old credentials become drift.
    #[serde(default)]
    pub limits: Option<LimitsDocument>,
    /// When accounts of people who have left are deleted, by the system's name.
    #[serde(default)]
    pub retention: BTreeMap<Spanned<String>, RetentionDocument>,
    /// What becomes of non-humans whose owner leaves.
    #[serde(default)]
    pub succession: Option<SuccessionDocument>,
    /// Secrets that several people know.
    #[serde(default)]
    pub shared_secret: BTreeMap<Spanned<String>, SharedSecretDocument>,
}

/// `[role.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleDocument {
    /// For people.
    pub title: Option<String>,
    /// The job task that the role exists for.
    pub task: Option<String>,
    /// Who answers for it.
    pub owner: Spanned<String>,
    /// Who holds it by rule: a Cedar expression over `principal`.
    pub members: Option<Spanned<String>>,
    /// Entitlement addresses.
    pub grants: Vec<Spanned<String>>,
    /// `14d`: whom `members` does not name any longer keeps what the role gave for so long, to hand their work over.
    pub hand_over: Option<Spanned<String>>,
}

/// `[assignment.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignmentDocument {
    /// To whom.
    pub identity: Spanned<String>,
    /// Which role …
    pub role: Option<Spanned<String>>,
    /// … or which entitlements.
    #[serde(default)]
    pub grants: Vec<Spanned<String>>,
    /// When it was given: asked for of those who had left before.
    pub given: Option<Spanned<When>>,
    /// When it ends.
    pub until: Spanned<When>,
    /// Who answers for it.
    pub owner: Spanned<String>,
    /// What it is for.
    pub why: String,
}

/// `[exception.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionDocument {
    /// For whom.
    pub identity: Spanned<String>,
    /// Which entitlements.
    pub grants: Vec<Spanned<String>>,
    /// When it was given: asked for of those who had left before.
    pub given: Option<Spanned<When>>,
    /// When it ends.
    pub until: Spanned<When>,
    /// Who answers for it.
    pub owner: Spanned<String>,
    /// What it is for.
    pub why: String,
}

/// `[sod.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SodDocument {
    /// For people.
    pub title: Option<String>,
    /// `low`, `medium`, `high` or `critical`.
    pub severity: Spanned<String>,
    /// Sides; nobody may hold something of two of them.
    pub conflict: Vec<Vec<Spanned<String>>>,
}

/// `[owner.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerDocument {
    /// Entitlement addresses.
    pub of: Vec<Spanned<String>>,
    /// Who answers for them.
    pub owner: Spanned<String>,
}

/// `[guard.SYSTEM]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardDocument {
    /// A plan that would end more than this share of the system's grants (0 to 1) waits …
    pub share_max: Option<Spanned<f64>>,
    /// … where that is at least this many grants.
    pub count_min: Option<u64>,
    /// Of a people feed: where more than this share of its people (0 to 1) left, were suspended or put off within an hour, what they hold
    /// waits …
    pub leavers_share_max: Option<Spanned<f64>>,
    /// … where that is at least this many.
    pub leavers_count_min: Option<u64>,
    /// More than this many within an hour wait whatever their share.
    pub leavers_count_max: Option<u64>,
    /// Entitlements that somebody must be left to hold.
    #[serde(default)]
    pub administrators: Vec<Spanned<String>>,
}

/// `[protect.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectDocument {
    /// `system:login` of each.
    pub accounts: Vec<Spanned<String>>,
    /// What for.
    pub why: String,
}

/// `[break_glass.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakGlassDocument {
    /// `system:login` of each.
    pub accounts: Vec<Spanned<String>>,
    /// Who answers for them.
    pub owner: Spanned<String>,
    /// When the arrangement ends.
    pub until: Spanned<When>,
}

/// `[shared_secret.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedSecretDocument {
    /// `system:login` of each account that it lets in to.
    pub accounts: Vec<Spanned<String>>,
    /// Everybody who knows it.
    pub known_by: Vec<Spanned<String>>,
    /// Who replaces it.
    pub owner: Spanned<String>,
    /// `password`, also where nothing is said, or `key`.
    pub kind: Option<Spanned<String>>,
    /// For people: where it is kept.
    pub kept_in: Option<String>,
    /// When it was replaced last, where no system tells.
    pub replaced: Option<Spanned<When>>,
}

/// `[identity.KEY]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityDocument {
    /// `service`, `workload` or `agent`.
    pub kind: Spanned<String>,
    /// Who answers for it.
    pub owner: Spanned<String>,
    /// Its accounts, as `system:login`.
    #[serde(default)]
    pub accounts: Vec<Spanned<String>>,
    /// Further attributes for predicates.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// `[correlate."system:login"]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrelateDocument {
    /// Whose it is.
    pub identity: Spanned<String>,
}

/// `[limits]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsDocument {
    /// `90d`: an account unused for longer is dormant.
    pub dormant_after: Option<Spanned<String>>,
    /// `365d`: a credential unchanged for longer is stale.
    pub credential_age_max: Option<Spanned<String>>,
}

/// `[retention.SYSTEM]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionDocument {
    /// `90d`: the account of somebody who has left is deleted when so long has passed since.
    pub delete_accounts_after: Spanned<String>,
}

/// `[succession]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuccessionDocument {
    /// `manager`: the first of the leaver's managers who is here takes over; `nobody`: a person says who does.
    pub to: Option<Spanned<String>>,
    /// What is done about a non-human that nobody takes over: `ask` a person, or `stop` it.
    pub without: Option<Spanned<String>>,
    /// `14d`: what was stopped is watched for use so long before it ends for good.
    pub watch: Option<Spanned<String>>,
}

/// A date, or an instant, as a TOML value or a text.
#[derive(Debug, Clone)]
pub struct When(pub String);

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Native(toml::value::Datetime),
            Text(String),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Native(datetime) => Self(datetime.to_string()),
            Form::Text(text) => Self(text),
        })
    }
}

/// The bytes of a spanned value.
pub fn span_of<T>(spanned: &Spanned<T>) -> Range<usize> {
    spanned.span()
}
