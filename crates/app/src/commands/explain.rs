//! `leasehold explain`: what an identity holds, why, and by which paths.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use leasehold_connect::settings::did_you_mean;
use leasehold_decide::evaluate::Evaluation;
use leasehold_decide::explain::{Explained, explain, explain_named_account, who};
use leasehold_model::decision::{Because, Decision};
use leasehold_model::id::{EntitlementAddress, EntitlementName, IdentityKey, SystemName};
use leasehold_model::snapshot::{Claimed, IdentityConflict};
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::context::{Common, Context, parse_at};
use crate::output::{self, Tone, toned};
use crate::remote::Remote;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Explain {
    /// An identity by its key, or an account as system:login
    identity: String,
    /// Only this entitlement, as system:kind/name
    entitlement: Option<EntitlementAddress>,
    /// As it stood then
    #[arg(long, value_name = "TIME", value_parser = parse_at)]
    at: Option<Timestamp>,
    /// Lists every path, also where there are more than 1,000; their number can grow exponentially with nested groups
    #[arg(long)]
    all_paths: bool,
}

/// The documented form, and what people are shown besides.
#[derive(Serialize)]
struct Document {
    identity: String,
    at: Timestamp,
    items: Vec<Row>,
    #[serde(skip)]
    about: Option<About>,
    /// How many other accounts hold the entitlement that was asked about.
    #[serde(skip)]
    others: Option<usize>,
}

/// Who it is.
struct About {
    key: IdentityKey,
    words: String,
    /// What its sources say that disagree about it.
    conflicts: Vec<Conflict>,
}

/// That sources disagree, and whose word counts.
#[derive(Deserialize)]
struct Conflict {
    attribute: String,
    used: Claim,
    instead: Vec<Claim>,
}

/// What one source says.
#[derive(Deserialize)]
struct Claim {
    system: String,
    value: String,
}

/// One thing that is held.
#[derive(Serialize, Deserialize)]
struct Row {
    system: SystemName,
    account: String,
    entitlement: EntitlementName,
    direct: bool,
    inherent: bool,
    options: Option<String>,
    decision: Decision,
    because: Vec<String>,
    paths: Vec<Vec<String>>,
    more_paths: bool,
    path_steps: Vec<(EntitlementName, EntitlementName)>,
}

impl Explain {
    /// Answers from what was last read.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let document = match Remote::of(common)? {
            Some(remote) => self.ask(&remote, !common.json).await?,
            None => self.read(&Context::open_to_read(common).await?).await?,
        };
        if common.json {
            output::json(&document)?
        } else {
            self.show(&document)?
        }
        let unjustified = document.items.iter().any(|item| item.decision == Decision::Unjustified);
        Ok(if unjustified { Outcome::Outstanding } else { Outcome::Clean })
    }

    async fn read(&self, context: &Context) -> anyhow::Result<Document> {
        let loaded = context.load(self.at).await?;
        super::drift::require_read(&loaded.snapshot)?;
        let evaluation = loaded.evaluate()?;
        let mut items = find(&evaluation, &self.identity, super::paths_max(self.all_paths))?;
        let mut others = None;
        if let Some(address) = &self.entitlement {
            let entitlement =
                evaluation.entitlement(address).with_context(|| self.no_entitlement(address))?;
            items.retain(|item| item.system == address.system && item.entitlement == address.entitlement);
            let all = if context.json { 0 } else { who(&evaluation, entitlement, 1).len() };
            others = Some(all.saturating_sub(items.len()));
        }
        let about = evaluation.identity(&IdentityKey::from(self.identity.as_str())).map(|index| {
            let identity = &evaluation.identities[index.index()];
            let attribute = |name: &str| identity.attribute(name).map(str::to_owned);
            let state = loaded.snapshot.state_of(identity, loaded.now).as_str();
            let conflicts = loaded.snapshot.conflicts_of(index.0).iter().map(Conflict::from).collect();
            let days = (identity.start, identity.end);
            About::new(identity.key.clone(), identity.kind.as_str(), state, days, conflicts, attribute)
        });
        let items = items.into_iter().map(Row::from).collect();
        Ok(Document { identity: self.identity.clone(), at: loaded.now, items, about, others })
    }

    async fn ask(&self, remote: &Remote, for_people: bool) -> anyhow::Result<Document> {
        #[derive(Deserialize)]
        struct Access {
            at: Timestamp,
            items: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Identity {
            key: IdentityKey,
            kind: String,
            state: String,
            start: Option<Timestamp>,
            end: Option<Timestamp>,
            attributes: BTreeMap<String, String>,
            conflicts: Vec<Conflict>,
        }
        #[derive(Deserialize)]
        struct Holders {
            total: usize,
        }
        super::refuse_all_paths(self.all_paths)?;
        let at: Vec<(&str, String)> = self.at.map(|at| ("at", at.to_string())).into_iter().collect();
        let mut access: Option<Access> = remote.find(&["identities", &self.identity, "access"], &at).await?;
        let mut about = None;
        match (&access, self.identity.split_once(':')) {
            (None, Some((system, account))) => {
                access = remote.find(&["accounts", system, account, "access"], &at).await?;
            }
            (Some(_), _) if for_people => {
                let identity: Option<Identity> = remote.find(&["identities", &self.identity], &at).await?;
                about =
                    identity.map(|Identity { key, kind, state, start, end, mut attributes, conflicts }| {
                        About::new(key, &kind, &state, (start, end), conflicts, |name| {
                            attributes.remove(name)
                        })
                    });
            }
            _ => {}
        }
        let Some(Access { at: then, mut items }) = access else {
            bail!(
                "there is no identity or account `{}`, or none that you may see; identities are named by their key in the \
                 authoritative system, accounts as system:login",
                self.identity
            );
        };
        let mut others = None;
        if let Some(address) = &self.entitlement {
            let mut query = at;
            query.push(("limit", "1".to_owned()));
            let holders: Option<Holders> =
                remote.find(&["entitlements", &address.to_string(), "holders"], &query).await?;
            let Holders { total } = holders.with_context(|| self.no_entitlement(address))?;
            items.retain(|item| item.system == address.system && item.entitlement == address.entitlement);
            others = Some(total.saturating_sub(items.len()));
        }
        Ok(Document { identity: self.identity.clone(), at: then, items, about, others })
    }

    fn no_entitlement(&self, address: &EntitlementAddress) -> String {
        format!("there is no entitlement {address}; `leasehold explain {}` lists what is held", self.identity)
    }

    fn show(&self, document: &Document) -> anyhow::Result<()> {
        let Document { about, items, others, .. } = document;
        if let Some(About { key, words, conflicts }) = about {
            output::line(format!("{}  {}", toned(key, Tone::Strong), output::safe(words)))?;
            for conflict in conflicts {
                output::line(toned(output::safe(conflict), Tone::Attention))?;
            }
        }
        match (&self.entitlement, items.is_empty()) {
            (Some(address), true) => output::line(format!("does not hold {address}"))?,
            (None, true) => output::line("holds nothing that was read")?,
            _ => {}
        }
        // What comes with every account buries what was given to this one; asked for by name, it is shown.
        let comes_with_every_account = |item: &&Row| self.entitlement.is_none() && item.inherent;
        let (common, own): (Vec<&Row>, Vec<&Row>) = items.iter().partition(comes_with_every_account);
        for item in own {
            show_row(item)?;
        }
        if !common.is_empty() {
            output::line(format!(
                "\nand {} that every account of its system has; --json lists them",
                output::count(common.len(), "entitlement")
            ))?;
        }
        if let (Some(address), Some(others)) = (&self.entitlement, others) {
            output::line(format!("\n{others} other accounts hold it: `leasehold who {address}`"))?;
        }
        Ok(())
    }
}

fn show_row(item: &Row) -> anyhow::Result<()> {
    let tone = match item.decision {
        Decision::Justified => Tone::Good,
        Decision::Unjustified => Tone::Bad,
        Decision::Undecided => Tone::Attention,
    };
    output::line(format!(
        "\n{}:{}  {}",
        item.system,
        output::safe(&item.entitlement),
        toned(item.decision.as_str(), tone)
    ))?;
    if let Some(options) = &item.options {
        output::line(format!("  with    {}", output::safe(options)))?;
    }
    for because in &item.because {
        output::line(format!("  because {}", output::safe(because)))?;
    }
    for path in &item.paths {
        output::line(format!("  by      {}", output::safe(path.join(" → "))))?;
    }
    if item.more_paths {
        output::line("  by      further paths through the same direct grants; --all-paths lists them")?;
    }
    Ok(())
}

impl About {
    fn new(
        key: IdentityKey,
        kind: &str,
        state: &str,
        (start, end): (Option<Timestamp>, Option<Timestamp>),
        conflicts: Vec<Conflict>,
        attribute: impl FnMut(&str) -> Option<String>,
    ) -> Self {
        let state = match (state, start, end) {
            ("pre_hire", Some(start), _) => format!("pre hire until {start}"),
            ("leaving" | "left", _, Some(end)) => format!("{state} at {end}"),
            _ => state.replace('_', " "),
        };
        let mut words = vec![kind.to_owned(), state];
        words.extend(["title", "department"].into_iter().filter_map(attribute));
        Self { key, words: words.join(", "), conflicts }
    }
}

impl From<&IdentityConflict> for Conflict {
    fn from(conflict: &IdentityConflict) -> Self {
        let claim =
            |claimed: &Claimed| Claim { system: claimed.system.to_string(), value: claimed.value.clone() };
        Self {
            attribute: conflict.attribute.clone(),
            used: claim(&conflict.used),
            instead: conflict.instead.iter().map(claim).collect(),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attribute, used, instead } = self;
        write!(
            formatter,
            "sources disagree: {} is {} by {}",
            attribute.replace('_', " "),
            used.value,
            used.system
        )?;
        instead.iter().try_for_each(|other| write!(formatter, ", {} by {}", other.value, other.system))
    }
}

impl From<Explained> for Row {
    fn from(item: Explained) -> Self {
        Self {
            paths: with_account(&item.login, &item.paths),
            system: item.system,
            account: item.login,
            entitlement: item.entitlement,
            direct: item.direct,
            inherent: item.inherent,
            options: item.options,
            decision: item.decision,
            because: item.because.iter().map(Because::to_string).collect(),
            more_paths: item.more_paths,
            path_steps: item.path_steps,
        }
    }
}

/// Paths as they are documented: each begins with the account.
pub fn with_account(login: &str, paths: &[Vec<EntitlementName>]) -> Vec<Vec<String>> {
    let path = |path: &Vec<EntitlementName>| {
        std::iter::once(login.to_owned()).chain(path.iter().map(EntitlementName::to_string)).collect()
    };
    paths.iter().map(path).collect()
}

fn find(evaluation: &Evaluation<'_>, name: &str, paths_max: usize) -> anyhow::Result<Vec<Explained>> {
    if let Some(identity) = evaluation.identity(&IdentityKey::from(name)) {
        return Ok(explain(evaluation, identity, paths_max));
    }
    if let Some((system, login)) = name.split_once(':') {
        return explain_named_account(evaluation, system, login, paths_max)
            .with_context(|| format!("system `{system}` has no account `{login}`"));
    }
    match require_identity(evaluation, &IdentityKey::from(name)) {
        Ok(()) => Ok(Vec::new()),
        Err(error) => bail!("{error}, accounts as system:login"),
    }
}

/// That there is such an identity, or what else may have been meant.
pub fn require_identity(evaluation: &Evaluation<'_>, identity: &IdentityKey) -> anyhow::Result<()> {
    if evaluation.identity(identity).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = evaluation.identities.iter().map(|identity| identity.key.as_str()).collect();
    let near = if known.len() > 5_000 { String::new() } else { near(identity.as_str(), &known) };
    bail!(
        "there is no identity `{identity}`{near}; identities are named by their key in the authoritative system"
    )
}

/// Only a near name is worth saying: the list of all identities is not.
fn near(name: &str, known: &[&str]) -> String {
    let words = did_you_mean(name, known);
    if words.contains("did you mean") { words } else { String::new() }
}
