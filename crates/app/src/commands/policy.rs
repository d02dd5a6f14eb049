//! `leasehold policy`: checks the files, shows whose access would change, and makes them the live revision.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leasehold_decide::evaluate::{Evaluation, Inputs};
use leasehold_decide::policy::check::check;
use leasehold_decide::policy::diagnostic::{Diagnostic, Severity};
use leasehold_decide::policy::{Policy, digest, read::read};
use leasehold_reconcile::stages::decide::Loaded;
use serde_json::{Value, json};

use crate::Outcome;
use crate::context::{Common, Context, actor};
use crate::diagnostic::{Rendered, line_of, render_policy};
use crate::output::{self, Tone, row, toned};

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

    /// Reads the policy and checks it beside what was observed.
    fn checked(&self, context: &Context, loaded: &Loaded) -> (Option<Policy>, Vec<Diagnostic>) {
        match read(&self.texts) {
            Err(mistakes) => (None, mistakes),
            Ok(policy) => {
                let diagnostics = check(&policy, &context.config.system_names(), &loaded.snapshot);
                (Some(policy), diagnostics)
            }
        }
    }
}

impl PolicyCommand {
    /// Checks, compares or applies.
    pub async fn run(self, common: &Common) -> anyhow::Result<Outcome> {
        let context = Context::open_to_change(common).await?;
        let files = Files::read(&context.config.policy)?;
        match self.what {
            What::Check => run_check(&context, &files).await,
            What::Diff { all } => run_diff(&context, &files, all).await,
            What::Apply => run_apply(&context, &files).await,
        }
    }
}

/// The policy where nothing is wrong with it; else every mistake as one error. Warnings are printed.
async fn usable(context: &Context, files: &Files) -> anyhow::Result<(Policy, Loaded)> {
    let loaded = context.load(None).await?;
    let (policy, diagnostics) = files.checked(context, &loaded);
    let (errors, warnings): (Vec<_>, Vec<_>) =
        diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
    if !warnings.is_empty() && !context.json {
        eprint!("{}", files.rendered(&warnings));
    }
    match policy {
        Some(policy) if errors.is_empty() => Ok((policy, loaded)),
        _ => {
            let end =
                format!("{} in the policy; nothing was changed", output::count(errors.len(), "mistake"));
            Err(Rendered(format!("{}{end}", files.rendered(&errors))).into())
        }
    }
}

async fn run_check(context: &Context, files: &Files) -> anyhow::Result<Outcome> {
    // Who may do what is not a part of the policy, but as little may be wrong with it.
    context.config.authority()?;
    if context.json {
        let loaded = context.load(None).await?;
        let (_, diagnostics) = files.checked(context, &loaded);
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        let rows: Vec<Value> = diagnostics.iter().map(|diagnostic| row(files, diagnostic)).collect();
        let summary = json!({"files": files.texts.len(), "errors": errors, "warnings": rows.len() - errors});
        output::json(&json!({"items": rows, "summary": summary}))?;
        anyhow::ensure!(errors == 0, "{} in the policy", output::count(errors, "mistake"));
        return Ok(Outcome::Clean);
    }
    let (policy, _) = usable(context, files).await?;
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

/// What an identity may hold by the policy: identity key and entitlement address.
type Justified = BTreeSet<(String, String)>;

async fn run_diff(context: &Context, files: &Files, all: bool) -> anyhow::Result<Outcome> {
    let (policy, loaded) = usable(context, files).await?;
    let before = justified(&loaded.evaluate()?);
    let inputs = Inputs { policy: &policy, ..loaded.inputs() };
    let after = justified(&Evaluation::new(inputs)?);
    let gains: Vec<_> = after.difference(&before).collect();
    let losses: Vec<_> = before.difference(&after).collect();
    if context.json {
        let rows = |rows: &[&(String, String)], change: &str| {
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

fn justified(evaluation: &Evaluation<'_>) -> Justified {
    let mut all = Justified::new();
    evaluation.for_each_justified(|identity, entitlement| {
        let address =
            format!("{}:{}", evaluation.system_of(entitlement), evaluation.entitlement_name(entitlement));
        all.insert((evaluation.identities[identity.index()].key.to_string(), address));
    });
    all
}

async fn run_apply(context: &Context, files: &Files) -> anyhow::Result<Outcome> {
    usable(context, files).await?;
    let digest = digest(&files.texts);
    let live = context.store.live_policy().await?;
    let changed = live.as_ref().is_none_or(|revision| revision.digest != digest);
    let id = match live {
        Some(revision) if !changed => revision.id,
        _ => context.store.apply_policy(files.texts.clone(), &digest, &actor(), context.now()).await?.id,
    };
    context.publish().await?;
    if context.json {
        output::json(&json!({"revision": id, "digest": digest, "changed": changed}))?;
    } else if changed {
        output::line(format!("policy revision {id} is live; `leasehold drift` shows what it means"))?;
    } else {
        output::line(format!("policy revision {id} is live already; nothing was changed"))?;
    }
    Ok(Outcome::Clean)
}

/// Makes the files the live revision, for `demo`.
pub async fn apply_files(context: &Context) -> anyhow::Result<()> {
    let files = Files::read(&context.config.policy)?;
    usable(context, &files).await?;
    context.store.apply_policy(files.texts.clone(), &digest(&files.texts), &actor(), context.now()).await?;
    Ok(())
}
