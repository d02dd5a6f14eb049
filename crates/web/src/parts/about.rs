//! What a difference or an action is about: an entitlement, a credential, or the account itself.

use askama::Template;
use askama::filters::HtmlSafe;
use leasehold_model::credential::CredentialName;
use leasehold_model::request::AccountTarget;
use leasehold_model::text::safe;

use super::Link;

/// What something is about.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/about.html")]
pub(crate) enum About {
    /// An entitlement.
    Entitlement(Link),
    /// A credential, in words.
    Credential(String),
    /// The account itself.
    Account,
}

impl HtmlSafe for About {}

impl About {
    /// Of an item that names at most one of the two.
    pub(crate) fn of(entitlement: Option<Link>, credential: Option<&CredentialName>) -> Self {
        match (entitlement, credential) {
            (Some(link), _) => Self::Entitlement(link),
            (None, Some(credential)) => Self::Credential(safe(credential)),
            (None, None) => Self::Account,
        }
    }

    /// The same with whom it is handed over to.
    pub(crate) fn to(self, account: Option<&AccountTarget>) -> Self {
        match (self, account) {
            (Self::Credential(words), Some(to)) => {
                Self::Credential(format!("{words} to {}", safe(&to.login)))
            }
            (about, _) => about,
        }
    }

    /// The same as text; empty for the account itself.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Entitlement(link) => &link.text,
            Self::Credential(words) => words,
            Self::Account => "",
        }
    }
}
