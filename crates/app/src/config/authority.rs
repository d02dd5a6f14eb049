//! `[server] authority`: an installation's own Cedar policies of who may do what inside Leasehold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leasehold_decide::authority::{Authority, AuthorityFile};

use super::Config;
use crate::diagnostic::{Rendered, render_policy};
use crate::output;

impl Config {
    /// Who may do what: the shipped policies, and those of the files that leasehold.toml names.
    ///
    /// # Errors
    /// Where a file cannot be read, and for everything in it that cannot be used, with line and caret.
    pub fn authority(&self) -> anyhow::Result<Authority> {
        let Some(path) = &self.server.authority else { return Ok(Authority::shipped()?) };
        let (folder, paths) = files_at(path)?;
        let mut files = Vec::new();
        for path in paths {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(&folder).unwrap_or(&path).to_string_lossy().into_owned();
            files.push(AuthorityFile { name, text });
        }
        Authority::with(&files).map_err(|mistakes| {
            let texts: BTreeMap<String, String> =
                files.into_iter().map(|file| (file.name, file.text)).collect();
            let end = output::count(mistakes.len(), "mistake");
            let rendered = render_policy(&folder, &texts, &mistakes);
            Rendered(format!(
                "{rendered}{end} in the authority policies; docs/authority.md has what they may speak of"
            ))
            .into()
        })
    }
}

/// The folder, and the files in it in the order of their names: one file, or every `.cedar` of a folder.
fn files_at(path: &Path) -> anyhow::Result<(PathBuf, Vec<PathBuf>)> {
    let wrong = || {
        format!(
            "cannot read the authority policies at {}; `authority` in [server] names a .cedar file or a folder of them",
            path.display()
        )
    };
    if !path.metadata().with_context(wrong)?.is_dir() {
        return Ok((path.parent().unwrap_or(Path::new("")).to_owned(), vec![path.to_owned()]));
    }
    let entries: std::io::Result<Vec<PathBuf>> =
        path.read_dir().with_context(wrong)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files = entries.with_context(wrong)?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "cedar"));
    files.sort();
    // An empty folder is a mistyped one, and whoever relies on a `forbid` in it has to know.
    anyhow::ensure!(!files.is_empty(), "{}: there is no .cedar file in it", wrong());
    Ok((path.to_owned(), files))
}
