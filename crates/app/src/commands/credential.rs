//! `leasehold credential`: links by which people get new credentials, and credentials that are replaced.

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use leasehold_decide::policy::read::parse_duration;
use leasehold_reconcile::workflow::credential_link::{self, Wanted};
use leasehold_store::CredentialLink;
use leasehold_web::make_credential_link;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::offboard::named_actor;
use crate::Outcome;
use crate::context::{Common, Context};
use crate::output;
use crate::remote::{Nothing, Remote};

/// So many of the latest links are listed.
const LISTED_MAX: u32 = 500;

/// Arguments of `credential`.
#[derive(Debug, clap::Args)]
pub struct CredentialCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print a link by which the holder of an account gets a new credential, once
    Link {
        /// The system that the account is in
        system: String,
        /// The account, by its login or its key
        account: String,
        /// How long the link lasts
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3d")]
        lasts: SignedDuration,
        /// The key of the credential that the new one replaces
        #[arg(long, value_name = "KEY")]
        replaces: Option<String>,
        /// For how long both stay after the link was opened; then the old one is drift, and a plan revokes it
        #[arg(long, value_name = "DURATION", value_parser = duration, requires = "replaces")]
        overlap: Option<SignedDuration>,
    },
    /// List links, and what came of them
    Links,
    /// Take a link back that nobody has opened
    Withdraw {
        /// Its id, as `credential links` shows it
        id: String,
    },
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    parse_duration(text).ok_or_else(|| "write a number and a unit: 12h, 3d, 2w".to_owned())
}

/// A link in the documented form.
#[derive(Serialize, Deserialize)]
struct Row {
    id: String,
    system: String,
    account: String,
    account_key: String,
    identity: String,
    replaces: Option<String>,
    overlap_hours: i64,
    state: String,
    made_by: String,
    made_at: Timestamp,
    expires_at: Timestamp,
    opened_at: Option<Timestamp>,
    remark: Option<String>,
}

impl From<CredentialLink> for Row {
    fn from(link: CredentialLink) -> Self {
        Self {
            id: link.id,
            system: link.of.system.to_string(),
            account: link.of.account.login,
            account_key: link.of.account.key.to_string(),
            identity: link.of.identity.to_string(),
            replaces: link.of.replaces.map(|credential| credential.to_string()),
            overlap_hours: SignedDuration::from_millis(link.of.overlap_ms).as_hours(),
            state: link.state.as_str().to_owned(),
            made_by: link.made_by,
            made_at: link.made_at,
            expires_at: link.of.expires_at,
            opened_at: link.opened_at,
            remark: link.remark,
        }
    }
}

impl CredentialCommand {
    /// Makes, lists or takes back a link, here or at a server.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        match Remote::of(common)? {
            Some(remote) => self.ask(&remote, common.json).await,
            None => self.change(common).await,
        }
    }

    async fn change(self, common: &Common) -> anyhow::Result<Outcome> {
        match self.what {
            What::Link { system, account, lasts, replaces, overlap } => {
                let (context, by) = (Context::open_to_change(common).await?, named_actor()?);
                let connected = context.system(&system)?.connect()?;
                let loaded = context.load(None).await?;
                let system = connected.name.clone();
                let overlap = overlap.unwrap_or(SignedDuration::ZERO);
                let wanted = Wanted { system, account, replaces, overlap, lasts };
                let new = credential_link::check(&loaded, &connected.connector.capabilities(), &wanted)
                    .map_err(|refusal| anyhow::anyhow!("{refusal}; nothing was made"))?;
                let server = &context.config.server;
                let url = server.url(server.listen)?;
                let (link, url) =
                    make_credential_link(&context.store, &url, &new, &by, context.now()).await?;
                context.publish().await?;
                show_link(common.json, &link.into(), &url)?;
            }
            What::Links => {
                let context = Context::open_to_read(common).await?;
                let links = context.store.credential_links(LISTED_MAX).await?;
                show_list(common.json, &links.into_iter().map(Row::from).collect::<Vec<_>>())?;
            }
            What::Withdraw { id } => {
                let (context, by) = (Context::open_to_change(common).await?, named_actor()?);
                let withdrawn = context.store.withdraw_credential_link(&id, &by, context.now()).await?;
                ensure!(withdrawn, "{}", no_link(&id));
                context.publish().await?;
                show_withdrawn(common.json, &id)?;
            }
        }
        Ok(Outcome::Clean)
    }

    async fn ask(self, remote: &Remote, json: bool) -> anyhow::Result<Outcome> {
        #[derive(Deserialize)]
        struct List {
            items: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Made {
            link: Row,
            url: String,
        }
        match self.what {
            What::Link { system, account, lasts, replaces, overlap } => {
                let overlap = overlap.unwrap_or(SignedDuration::ZERO);
                let whole = |duration: SignedDuration| duration.as_secs() % 3_600 == 0;
                ensure!(
                    whole(lasts) && whole(overlap),
                    "a server counts in whole hours: write for example 12h or 3d"
                );
                let mut new = json!({ "system": system, "account": account, "hours": lasts.as_hours() });
                if let Some(replaces) = replaces {
                    new["replaces"] = json!(replaces);
                    new["overlap_hours"] = json!(overlap.as_hours());
                }
                let Made { link, url } = remote.post(&["credential-links"], &[], new).await?;
                show_link(json, &link, &url)?;
            }
            What::Links => {
                let List { items } = remote.get(&["credential-links"], &[]).await?;
                show_list(json, &items)?;
            }
            What::Withdraw { id } => {
                let Nothing {} =
                    remote.delete(&["credential-links", &id]).await.with_context(|| no_link(&id))?;
                show_withdrawn(json, &id)?;
            }
        }
        Ok(Outcome::Clean)
    }
}

fn no_link(id: &str) -> String {
    format!("no link {id} waits to be opened; `leasehold credential links` shows what became of each")
}

fn show_link(json: bool, link: &Row, url: &str) -> anyhow::Result<()> {
    if json {
        let mut document = json!(link);
        document["url"] = json!(url);
        return output::json(&document);
    }
    output::remark(format!(
        "whoever has this link gets the credential, once, until {}: send it to {} by a way that only they can read",
        link.expires_at,
        output::safe(&link.identity)
    ));
    output::line(url)?;
    Ok(())
}

fn show_list(json: bool, links: &[Row]) -> anyhow::Result<()> {
    if json {
        return output::json(&json!({"items": links, "summary": {"total": links.len()}}));
    }
    if links.is_empty() {
        output::line("no link was made yet")?;
        return Ok(());
    }
    let mut table = output::table(&["id", "system", "account", "for", "state", "until", "remark"]);
    for link in links {
        let remark = output::safe(link.remark.as_deref().unwrap_or_default()).to_string();
        let (account, identity) = (output::safe(&link.account), output::safe(&link.identity));
        let row = [
            link.id.clone(),
            link.system.clone(),
            account.to_string(),
            identity.to_string(),
            link.state.replace('_', " "),
            link.expires_at.to_string(),
            remark,
        ];
        table.add_row(row);
    }
    output::line(table)?;
    Ok(())
}

fn show_withdrawn(json: bool, id: &str) -> anyhow::Result<()> {
    if json {
        return output::json(&json!({"id": id, "state": "withdrawn"}));
    }
    output::line("the link no longer works")?;
    Ok(())
}
