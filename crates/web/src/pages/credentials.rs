//! Credentials: every key, token, password and certificate that lets somebody in, whose it is and how old.

use askama::Template;
use axum::extract::{Query as Asked, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use leasehold_decide::authority::Action;
use leasehold_decide::correlate::Correlation;
use leasehold_model::credential::{Credential, CredentialKind};
use leasehold_model::snapshot::SnapshotCredential;
use leasehold_model::text::safe;
use leasehold_reconcile::view::View;
use serde::Deserialize;

use crate::catalogue;
use crate::error::WebError;
use crate::frame::{self, Frame};
use crate::pages::identities::one_of;
use crate::pages::identity::{LastUsed, used};
use crate::parts::form::Choices;
use crate::parts::mark::Tone;
use crate::parts::{Link, Mark, Moment, Pager, Query, Sources};
use crate::person::Person;
use crate::present::Present;
use crate::route::{Access, Route};
use crate::sight::Sight;
use crate::state::App;

/// The routes of this file.
pub(crate) const ROUTES: &[Route] =
    &[Route::page(Method::GET, "/credentials", Access::Needs(Action::SeeSystem), || get(list))];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Filter {
    q: String,
    system: String,
    kind: String,
    only: String,
    page: String,
}

/// What a list can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Usable,
    Old,
    OfNobody,
    NeverUsed,
}

impl Only {
    const ALL: [Self; 4] = [Self::Usable, Self::Old, Self::OfNobody, Self::NeverUsed];

    fn word(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Old => "old",
            Self::OfNobody => "of-nobody",
            Self::NeverUsed => "never-used",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Usable => "that can be used",
            Self::Old => "older than allowed",
            Self::OfNobody => "of nobody",
            Self::NeverUsed => "never used",
        }
    }
}

#[derive(Template)]
#[template(path = "credentials.html")]
struct CredentialsPage {
    frame: Frame,
    sources: Sources,
    text: String,
    systems: Choices,
    kinds: Choices,
    only: Choices,
    rows: Vec<CredentialLine>,
    pager: Pager,
    filtered: bool,
}

/// One credential in a list.
pub(crate) struct CredentialLine {
    /// What people call it.
    pub label: String,
    /// What sort it is, in words.
    pub kind: String,
    /// Where.
    pub system: Link,
    /// Whose it is there.
    pub account: String,
    /// Whose the account is, where known and to be seen.
    pub identity: Option<Link>,
    /// Whether it lets somebody in.
    pub state: Mark,
    /// When it was made, and by whom where somebody else did.
    pub created: Option<Moment>,
    /// Who made it, where it was not its account.
    pub created_by: String,
    /// Older than the policy allows.
    pub is_old: bool,
    /// When the system itself ends it.
    pub expires: Option<Moment>,
    /// When it was last used.
    pub last_use: LastUsed,
    /// What it is limited to.
    pub scope: String,
}

impl CredentialLine {
    /// Of a credential of the present state, for whoever looks.
    pub(crate) fn of(view: &View, sight: &Sight<'_>, row: &SnapshotCredential, now: Timestamp) -> Self {
        let (evaluation, snapshot) = (view.evaluation(), &view.loaded().snapshot);
        let (account, credential) = (&snapshot.accounts[row.account as usize], &row.credential);
        let identity = match &evaluation.correlation[row.account as usize] {
            Correlation::To { identity, .. } => Some(&evaluation.identities[*identity as usize].key),
            _ => None,
        };
        Self {
            label: safe(&credential.label),
            kind: credential.kind.as_str().replace('_', " "),
            system: sight.link_system(snapshot.system(account.system)),
            account: safe(&account.account.login),
            identity: identity.map(|key| sight.link_identity(key)),
            state: state_mark(credential, view.as_of()),
            created: credential.created_at.map(|at| Moment::relative(at, now)),
            created_by: credential.created_by.as_ref().map(safe).unwrap_or_default(),
            is_old: is_old(view, credential),
            expires: credential.expires_at.map(|at| Moment::relative(at, now)),
            last_use: used(credential.last_use, now),
            scope: safe(credential.scope.join(", ")),
        }
    }
}

fn state_mark(credential: &Credential, now: Timestamp) -> Mark {
    if !credential.active {
        Mark::new("stopped", Tone::Quiet)
    } else if credential.expires_at.is_some_and(|at| at <= now) {
        Mark::new("expired", Tone::Quiet)
    } else {
        Mark::new("usable", Tone::Good)
    }
}

fn is_old(view: &View, credential: &Credential) -> bool {
    let limit = view.evaluation().inputs.policy.limits.credential_age_max;
    let age = credential.created_at.map(|created| view.as_of().duration_since(created));
    limit.zip(age).is_some_and(|(limit, age)| age > limit)
}

async fn list(
    State(app): State<App>,
    person: Person,
    frame: Frame,
    Present(view): Present,
    Asked(filter): Asked<Filter>,
) -> Result<Response, WebError> {
    let catalogue = catalogue::of(&app, &view).await?;
    let sight = Sight::new(&app, &person, &view, catalogue);
    let only = one_of(&Only::ALL, Only::word, &filter.only, "choice")?;
    let kind = one_of(&CredentialKind::ALL, CredentialKind::as_str, &filter.kind, "kind")?;
    let text = filter.q.trim().to_owned();
    let term = text.to_lowercase();
    let (evaluation, snapshot, now) = (view.evaluation(), &view.loaded().snapshot, app.now());
    let directory = app.directories.of(&view);
    let account_of = |row: &SnapshotCredential| &snapshot.accounts[row.account as usize];
    let seen: Vec<&SnapshotCredential> = directory
        .credentials
        .iter()
        .map(|position| &snapshot.credentials[*position as usize])
        .filter(|row| sight.system(snapshot.system(account_of(row).system)))
        .collect();
    let mut systems: Vec<&str> =
        seen.iter().map(|row| snapshot.system(account_of(row).system).as_str()).collect();
    systems.dedup();
    if !filter.system.is_empty() && !systems.contains(&filter.system.as_str()) {
        return Err(WebError::NotFound(format!("a system `{}` with credentials", safe(&filter.system))));
    }
    let fits = |row: &&&SnapshotCredential| {
        let (account, credential) = (account_of(row), &row.credential);
        let holds = |text: &str| text.to_lowercase().contains(&term);
        (filter.system.is_empty() || snapshot.system(account.system).as_str() == filter.system)
            && kind.is_none_or(|kind| credential.kind == kind)
            && (term.is_empty()
                || [&credential.label, &credential.key.0, &account.account.login]
                    .iter()
                    .any(|text| holds(text)))
            && match only {
                None => true,
                Some(Only::Usable) => credential.lets_in(view.as_of()),
                Some(Only::Old) => credential.lets_in(view.as_of()) && is_old(&view, credential),
                Some(Only::OfNobody) => {
                    !matches!(evaluation.correlation[row.account as usize], Correlation::To { .. })
                }
                Some(Only::NeverUsed) => credential.last_use == leasehold_model::account::LastUse::Never,
            }
    };
    let found: Vec<&SnapshotCredential> = seen.iter().filter(fits).copied().collect();
    let query = Query::new("/credentials")
        .with("q", &text)
        .with("system", &filter.system)
        .with("kind", &filter.kind)
        .with("only", &filter.only);
    let pager = Pager::new(filter.page.parse().unwrap_or(1), found.len(), &query);
    let rows = found[pager.range()].iter().map(|row| CredentialLine::of(&view, &sight, row, now)).collect();
    let named = |name: &&str| ((*name).to_owned(), (*name).to_owned());
    let of_kind = |kind: &CredentialKind| (kind.as_str().to_owned(), kind.as_str().replace('_', " "));
    let of_only = |only: &Only| (only.word().to_owned(), only.words().to_owned());
    let page = CredentialsPage {
        sources: Sources::of(&app, &view, |name| {
            (filter.system.is_empty() || name.as_str() == filter.system) && sight.system(name)
        }),
        frame: frame.titled("Credentials"),
        filtered: !query.pairs().is_empty(),
        text,
        systems: Choices::new("system", "System", "any system", systems.iter().map(named), &filter.system),
        kinds: Choices::new(
            "kind",
            "Kind",
            "any kind",
            CredentialKind::ALL.iter().map(of_kind),
            &filter.kind,
        ),
        only: Choices::new("only", "Only", "all", Only::ALL.iter().map(of_only), &filter.only),
        rows,
        pager,
    };
    frame::show(&page)
}
