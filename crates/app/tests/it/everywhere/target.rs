//! What the test asks of a target system, whichever it is.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use leasehold_testing::{Manner, Proxy};

/// Who leaves. Everything that starts with this login is theirs.
pub const LEAVER: &str = "lee";

/// Who holds the same and must keep it. The first takes over what the leaver answers for.
pub const OTHERS: [&str; 2] = ["dana", "mia"];

/// A service account that the feed says the leaver answers for.
pub const SERVICE: &str = "reports";

/// An agent that the policy says the leaver answers for.
pub const AGENT: &str = "triage";

/// The password of an account, good enough for every target.
pub fn password(login: &str) -> String {
    format!("{login}-Secret-42")
}

/// The mail address, by which the people feed knows somebody.
pub fn mail(login: &str) -> String {
    format!("{login}@example.com")
}

/// Where a server listens, by its address as `SCHEME://HOST:PORT`.
pub fn address_of(url: &str) -> SocketAddr {
    let (_, address) = url.split_once("://").expect("a scheme");
    address.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// A credential as whoever opened a link was shown it.
#[derive(Debug)]
pub struct FirstCredential {
    /// Its secret.
    pub secret: String,
    /// What was said beside it.
    pub instructions: String,
}

/// Something that the leaver still has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    /// They log in.
    LogIn,
    /// They hold an entitlement, directly or through another one.
    Entitlement(String),
    /// A credential, by its key, is there or still works.
    Credential(String),
    /// Work that runs by itself with their rights, by its key.
    Job(String),
    /// A session lives.
    Session,
}

/// A real system, reached through a proxy, in which the leaver and the others have the same access. Nothing here is looked at
/// with Leasehold's own code.
pub trait Target: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// Its table in the configuration, without the header.
    fn settings(&self) -> String;

    /// The entitlements that a role gives, as the policy names them after the system.
    fn entitlements(&self) -> Vec<String>;

    /// The entitlements that the role of another department gives.
    fn other_entitlements(&self) -> Vec<String>;

    /// The settings with which accounts are made in it.
    fn new_accounts(&self) -> String {
        "new_account_login = \"email.local\"\n".to_owned()
    }

    /// What the account of somebody is called.
    fn login(&self, login: &str) -> String {
        login.to_owned()
    }

    /// What an account holds of what the two roles give; `None` where there is no such account.
    fn held(&mut self, login: &str) -> Option<BTreeSet<String>>;

    /// Whether Leasehold makes credentials for accounts that it made.
    fn issues(&self) -> bool {
        true
    }

    /// Whether an account lets in whoever has its first credential, or, where Leasehold makes none, whether it is open.
    fn lets_in(&mut self, login: &str, first: Option<&FirstCredential>) -> bool;

    /// The account of the agent as the policy names it, where the agent has one.
    fn agent(&self) -> Option<String> {
        None
    }

    /// What is in front of it.
    fn proxy(&mut self) -> &mut Proxy;

    /// From now on it behaves like this.
    fn behave(&mut self, manner: Manner) {
        self.proxy().set(manner);
    }

    /// Gives the leaver everything anew, as if they came today: an account, what it holds, its keys, a live session.
    fn give(&mut self);

    /// What the leaver still has.
    fn left(&mut self) -> Vec<Left>;

    /// What nobody can end, so that a plan can only name it.
    fn residual(&self) -> Vec<Left> {
        Vec::new()
    }

    /// Verbs of which nobody can look whether they did anything, in order.
    fn unverifiable(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether it is spoken to over HTTP.
    fn speaks_http(&self) -> bool {
        false
    }

    /// Does what an administrator has to before somebody gets an account of a name that somebody had.
    fn clear_away(&mut self, _login: &str) {}

    /// Lets the successor run what they take over, where the target wants more for that than an open account.
    fn allow_hand_over(&mut self) {}

    /// Whether the leaver's job runs as the successor and no longer as the leaver; `None` where there is no job.
    fn is_handed_over(&mut self) -> Option<bool> {
        None
    }

    /// Demands that the others and the non-humans have what they had, and that it works.
    fn check_others_unchanged(&mut self);
}
