//! `leasehold login` and `leasehold logout`: a token of a server, by a browser that may be on another machine.

use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::Outcome;
use crate::context::Common;
use crate::output;
use crate::progress::Progress;
use crate::remote::{Keeper, Kept, Remote, grant_error};

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub struct Login {
    /// What the token may be used for; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', default_values = ["read", "plan"], value_parser = super::token::scope_names())]
    scopes: Vec<String>,
}

/// Arguments of `logout`.
#[derive(Debug, clap::Args)]
pub struct Logout {}

const WHICH: &str = "name the server with --server URL or LEASEHOLD_SERVER";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// By how much longer to wait when the server says that it is asked too often (RFC 8628, section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// What the server gives to wait with.
#[derive(Deserialize)]
struct Authorization {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u32,
    interval: u32,
}

/// The token.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u32,
    scope: String,
}

impl Login {
    /// Asks for a token, and waits until somebody who is signed in allows it.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let remote = Remote::without_token(common)?.context(WHICH)?;
        let keeper = Keeper::of_this_user()?;
        // What was kept is looked at before anybody is asked: a file that cannot be used is no place for a new token.
        let before = keeper.get(&remote.name())?;
        let wanted = [("client_id", client()), ("scope", self.scopes.join(" "))];
        let wanted = wanted.each_ref().map(|(name, value)| (*name, value.as_str()));
        let begun: Authorization =
            understood(&remote, &remote.post_form(&["device", "authorization"], &wanted).await?)?;
        output::remark(format!(
            "open {} and type the code {}\nor open {}\nallow it there only if it shows this same code",
            begun.verification_uri, begun.user_code, begun.verification_uri_complete
        ));
        let granted = wait(&remote, &begun).await?;
        let expires_at = Timestamp::now() + SignedDuration::from_secs(i64::from(granted.expires_in));
        keeper.put(&remote.name(), Kept { token: granted.access_token, expires_at })?;
        // The one before would go on being in force, and nobody would know it any more.
        if let Some(before) = before
            && let Err(error) = give_back(&remote, &before).await
        {
            output::remark(format!("warning: the token from before is still in force: {error}"));
        }
        if common.json {
            let scopes: Vec<&str> = granted.scope.split_whitespace().collect();
            output::json(&json!({"server": remote.name(), "scopes": scopes, "expires_at": expires_at}))?;
        } else {
            output::line(format!(
                "signed in to {} ({}) until {expires_at}; the token is in {}",
                remote.name(),
                granted.scope,
                keeper.path().display()
            ))?;
        }
        Ok(Outcome::Clean)
    }
}

impl Logout {
    /// Ends the token on the server, and forgets it.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let remote = Remote::without_token(common)?.context(WHICH)?;
        let keeper = Keeper::of_this_user()?;
        let kept = keeper.get(&remote.name())?;
        let kept = kept.with_context(|| format!("you are not signed in to {}", remote.name()))?;
        // Forgotten only once it is of no use: a server that does not answer is asked again later.
        give_back(&remote, &kept).await.context("the token is kept, since it could not be ended")?;
        keeper.forget(&remote.name())?;
        if common.json {
            output::json(&json!({"server": remote.name()}))?;
        } else {
            output::line(format!("signed out of {}; the token ended there", remote.name()))?;
        }
        Ok(Outcome::Clean)
    }
}

async fn give_back(remote: &Remote, kept: &Kept) -> anyhow::Result<()> {
    remote.post_form(&["device", "revocation"], &[("token", &kept.token)]).await.map(|_| ())
}

/// Asks as often as the server says, until somebody has decided.
async fn wait(remote: &Remote, begun: &Authorization) -> anyhow::Result<Granted> {
    let progress = Progress::new("waiting for somebody to allow it");
    let asked = [("grant_type", GRANT_TYPE), ("device_code", begun.device_code.as_str())];
    let mut interval = Duration::from_secs(u64::from(begun.interval));
    let end = tokio::time::Instant::now() + Duration::from_secs(u64::from(begun.expires_in));
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(interval).await;
        let error = match remote.post_form(&["device", "token"], &asked).await {
            Ok(text) => return understood(remote, &text),
            Err(error) => error,
        };
        match grant_error(&error) {
            Some("authorization_pending") => progress.say("nobody has decided yet"),
            Some("slow_down") => interval += SLOW_DOWN,
            Some("access_denied") => bail!("somebody refused it; no token was given"),
            Some("expired_token") => break,
            _ => return Err(error),
        }
    }
    bail!("nobody allowed it in time; run `leasehold login` again")
}

fn understood<Answer: serde::de::DeserializeOwned>(remote: &Remote, text: &str) -> anyhow::Result<Answer> {
    // The cause is left out: it could repeat what is secret.
    serde_json::from_str(text).map_err(|_| {
        anyhow::anyhow!("{} does not answer as this release expects; compare the versions", remote.name())
    })
}

/// What the server shows to who decides: this program, and where it runs, as far as it knows.
fn client() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty());
    let user = crate::context::known_actor().unwrap_or_else(|| "unknown".to_owned());
    let place = host.map(|host| format!(" at {host}")).unwrap_or_default();
    let text = format!("leasehold {}, run by {user}{place}", env!("CARGO_PKG_VERSION"));
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
