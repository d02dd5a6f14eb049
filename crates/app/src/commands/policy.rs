//! `leasehold policy`: checks the files, shows whose access would change, and makes them the live revision.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leasehold_decide::evaluate::{Evaluation, Inputs};
use leasehold_decide::policy::check::check;
use leasehold_decide::policy::diagnostic::{Diagnostic, Severity};
use leasehold_decide::policy::{Policy, digest, read::read};
use leasehold_reconcile::stages::decide::Loaded;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Outcome;
use crate::config::Config;
use crate::context::{Common, Context, actor};
use crate::diagnostic::{Rendered, line_of, render_policy};
use crate::output::{self, Tone, row, toned};
use crate::remote::Remote;

/// Arguments of `policy`.
#[derive(Debug, clap::Args)]
pub struct PolicyCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Check the files; mistakes are shown with their line and a caret
    Check,
    /// Show who would gain and lose what
    Diff {
        /// List everything, however long
        #[arg(long)]
        all: bool,
    },
    /// Make the files the live revision
    Apply,
}

/// The policy files on disk.
pub struct Files {
    folder: PathBuf,
    texts: BTreeMap<String, String>,
}

impl Files {
    /// Reads every `.toml` file below the policy folder.
    ///
    /// # Errors
    /// Where the folder or a file cannot be read.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut texts = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            let entries = std::fs::read_dir(&next).with_context(|| {
                format!("cannot read the policy folder {}; `leasehold init` makes one", next.display())
            })?;
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "toml") {
                    let text = std::fs::read_to_string(&path)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                    texts.insert(name, text);
                }
            }
        }
        Ok(Self { folder: folder.to_owned(), texts })
    }

    fn rendered(&self, all: &[Diagnostic]) -> String {
        render_policy(&self.folder, &self.texts, all)
    }
}

/// Where the live policy and what was observed are.
enum Place {
    Store(Box<Context>),
    Server(Remote),
}

/// What was found in the files, and the facts that they were checked beside, where those are here.
struct Judged {
    diagnostics: Vec<Diagnostic>,
    loaded: Option<Loaded>,
}

/// A change of what somebody may hold: identity key and entitlement address.
type Held = (String, String);

/// The live revision after `policy apply`, in the documented form.
#[derive(Serialize, Deserialize)]
struct Applied {
    revision: i64,
    digest: String,
    changed: bool,
}

impl Place {
    /// The policy folder: that of the configuration; with a server, where there is no configuration, `policy`.
    fn folder(&self, common: &Common) -> anyhow::Result<PathBuf> {
        match self {
            Self::Store(context) => Ok(context.config.policy.clone()),
            Self::Server(_) if common.config.exists() => Ok(Config::load(&common.config)?.policy),
            Self::Server(_) => Ok(PathBuf::from("policy")),
        }
    }

    /// Checks the files beside what was observed.
    async fn judge(&self, files: &Files) -> anyhow::Result<Judged> {
        match self {
            Self::Store(context) => judge(context, files).await,
            Self::Server(remote) => {
                #[derive(Deserialize)]
                struct Answer {
                    items: Vec<Row>,
                }
                #[derive(Deserialize)]
                struct Row {
                    severity: String,
                    file: String,
                    start: usize,
                    end: usize,
                    message: String,
                    help: String,
                }
                let body = json!({"files": files.texts});
                let Answer { items } = remote.post(&["policy", "check"], &[], body).await?;
                let diagnostic = |row: Row| Diagnostic {
                    severity: if row.severity == "error" { Severity::Error } else { Severity::Warning },
                    file: row.file,
                    span: row.start..row.end,
                    message: row.message,
                    help: row.help,
                };
                Ok(Judged { diagnostics: items.into_iter().map(diagnostic).collect(), loaded: None })
            }
        }
    }
}

/// Reads the policy and checks it beside what was observed.
async fn judge(context: &Context, files: &Files) -> anyhow::Result<Judged> {
    let loaded = context.load(None).await?;
    let diagnostics = match read(&files.texts) {
        Err(mistakes) => mistakes,
        Ok(policy) => check(&policy, &context.config.system_names(), &loaded.snapshot),
    };
    Ok(Judged { diagnostics, loaded: Some(loaded) })
}

impl PolicyCommand {
    /// Checks, compares or applies, here or at a server.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let place = match Remote::of(common)? {
            Some(remote) => Place::Server(remote),
            None => Place::Store(Box::new(Context::open_to_change(common).await?)),
        };
        let files = Files::read(&place.folder(common)?)?;
        let judged = place.judge(&files).await?;
        if let (What::Check, Place::Store(context)) = (&self.what, &place) {
            // Who may do what is not a part of the policy, but as little may be wrong with it.
            context.config.authority()?;
        }
        match self.what {
            What::Check => run_check(&files, judged, common.json),
            What::Diff { all } => run_diff(&place, &files, judged, all, common.json).await,
            What::Apply => run_apply(&place, &files, judged, common.json).await,
        }
    }
}

/// The policy and the facts where nothing is wrong with the files; else every mistake as one error. Warnings are printed.
fn usable(files: &Files, judged: Judged, json: bool) -> anyhow::Result<(Policy, Option<Loaded>)> {
    let Judged { diagnostics, loaded } = judged;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    if !warnings.is_empty() && !json {
        eprint!("{}", files.rendered(&warnings));
    }
    match read(&files.texts) {
        Ok(policy) if errors.is_empty() => Ok((policy, loaded)),
        _ => {
            let end =
                format!("{} in the policy; nothing was changed", output::count(errors.len(), "mistake"));
            Err(Rendered(format!("{}{end}", files.rendered(&errors))).into())
        }
    }
}

fn run_check(files: &Files, judged: Judged, json: bool) -> anyhow::Result<Outcome> {
    if json {
        let diagnostics = &judged.diagnostics;
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        let rows: Vec<Value> = diagnostics.iter().map(|diagnostic| row(files, diagnostic)).collect();
        let summary = json!({"files": files.texts.len(), "errors": errors, "warnings": rows.len() - errors});
        output::json(&json!({"items": rows, "summary": summary}))?;
        anyhow::ensure!(errors == 0, "{} in the policy", output::count(errors, "mistake"));
        return Ok(Outcome::Clean);
    }
    let (policy, _) = usable(files, judged, json)?;
    output::line(format!(
        "{} read: {}, {}, {}",
        output::count(files.texts.len(), "file"),
        output::count(policy.roles.len(), "role"),
        output::count(policy.explicit.len(), "assignment and exception")
            .replace("assignment and exceptions", "assignments and exceptions"),
        output::count(policy.sod.len(), "SoD set")
    ))?;
    Ok(Outcome::Clean)
}

fn row(files: &Files, diagnostic: &Diagnostic) -> Value {
    let text = files.texts.get(&diagnostic.file).map_or("", String::as_str);
    json!({
        "severity": if diagnostic.severity == Severity::Error { "error" } else { "warning" },
        "file": diagnostic.file,
        "line": line_of(text, diagnostic.span.start),
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}

/// Who would gain and who would lose what.
async fn changes(
    place: &Place,
    files: &Files,
    policy: &Policy,
    loaded: Option<Loaded>,
) -> anyhow::Result<(Vec<Held>, Vec<Held>)> {
    let loaded = match (place, loaded) {
        (Place::Server(remote), _) => return ask_changes(remote, files).await,
        (Place::Store(_), Some(loaded)) => loaded,
        (Place::Store(context), None) => context.load(None).await?,
    };
    let before = justified(&loaded.evaluate()?);
    let after = justified(&Evaluation::new(Inputs { policy, ..loaded.inputs() })?);
    let gains = after.difference(&before).cloned().collect();
    Ok((gains, before.difference(&after).cloned().collect()))
}

async fn ask_changes(remote: &Remote, files: &Files) -> anyhow::Result<(Vec<Held>, Vec<Held>)> {
    #[derive(Deserialize)]
    struct Answer {
        items: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        change: String,
        identity: String,
        entitlement: String,
    }
    let all = [("all", "true".to_owned())];
    let Answer { items } = remote.post(&["policy", "diff"], &all, json!({"files": files.texts})).await?;
    let (gains, losses): (Vec<Row>, Vec<Row>) = items.into_iter().partition(|row| row.change == "gains");
    let held = |rows: Vec<Row>| rows.into_iter().map(|row| (row.identity, row.entitlement)).collect();
    Ok((held(gains), held(losses)))
}

async fn run_diff(
    place: &Place,
    files: &Files,
    judged: Judged,
    all: bool,
    json: bool,
) -> anyhow::Result<Outcome> {
    let (policy, loaded) = usable(files, judged, json)?;
    let (gains, losses) = changes(place, files, &policy, loaded).await?;
    if json {
        let rows = |rows: &[Held], change: &str| {
            rows.iter()
                .map(|(identity, entitlement)| json!({"change": change, "identity": identity, "entitlement": entitlement}))
                .collect::<Vec<_>>()
        };
        let mut items = rows(&gains, "gains");
        items.extend(rows(&losses, "loses"));
        output::json(&json!({"items": items, "summary": {"gains": gains.len(), "losses": losses.len()}}))?;
    } else if gains.is_empty() && losses.is_empty() {
        output::line("nobody's access would change")?;
    } else {
        let mut table = output::table(&["", "identity", "entitlement"]);
        let mut rows: Vec<_> = losses.iter().map(|row| (toned("loses", Tone::Bad), row)).collect();
        rows.extend(gains.iter().map(|row| (toned("gains", Tone::Good), row)));
        let (shown, more) = output::screenful(&rows, all);
        for (change, (identity, entitlement)) in shown {
            table.add_row(row![change.clone(), identity.as_str(), entitlement.as_str()]);
        }
        output::line(table)?;
        if more > 0 {
            output::line(format!("… and {more} more; `--all` lists them"))?;
        }
        output::line(format!(
            "\n{} gained, {} lost; `leasehold policy apply` makes it so",
            gains.len(),
            losses.len()
        ))?;
    }
    let same = gains.is_empty() && losses.is_empty();
    Ok(if same { Outcome::Clean } else { Outcome::Outstanding })
}

fn justified(evaluation: &Evaluation<'_>) -> BTreeSet<Held> {
    let mut all = BTreeSet::new();
    evaluation.for_each_justified(|identity, entitlement| {
        let address =
            format!("{}:{}", evaluation.system_of(entitlement), evaluation.entitlement_name(entitlement));
        all.insert((evaluation.identities[identity.index()].key.to_string(), address));
    });
    all
}

async fn run_apply(place: &Place, files: &Files, judged: Judged, json: bool) -> anyhow::Result<Outcome> {
    usable(files, judged, json)?;
    let applied = match place {
        Place::Server(remote) => {
            remote.post(&["policy", "revisions"], &[], json!({"files": files.texts})).await?
        }
        Place::Store(context) => apply(context, files).await?,
    };
    let id = applied.revision;
    if json {
        output::json(&applied)?;
    } else if applied.changed {
        output::line(format!("policy revision {id} is live; `leasehold drift` shows what it means"))?;
    } else {
        output::line(format!("policy revision {id} is live already; nothing was changed"))?;
    }
    Ok(Outcome::Clean)
}

async fn apply(context: &Context, files: &Files) -> anyhow::Result<Applied> {
    let digest = digest(&files.texts);
    let live = context.store.live_policy().await?;
    let changed = live.as_ref().is_none_or(|revision| revision.digest != digest);
    let revision = match live {
        Some(revision) if !changed => revision.id,
        _ => context.store.apply_policy(files.texts.clone(), &digest, &actor(), context.now()).await?.id,
    };
    context.publish().await?;
    Ok(Applied { revision, digest, changed })
}

/// Makes the files the live revision, for `demo`.
pub async fn apply_files(context: &Context) -> anyhow::Result<()> {
    let files = Files::read(&context.config.policy)?;
    usable(&files, judge(context, &files).await?, context.json)?;
    context.store.apply_policy(files.texts.clone(), &digest(&files.texts), &actor(), context.now()).await?;
    Ok(())
}
