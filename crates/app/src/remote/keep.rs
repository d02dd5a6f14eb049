//! Where the tokens of servers are kept: one file of this user, which nobody else can read.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is kept for a server.
#[derive(Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The token.
    pub token: String,
    /// Until when it is in force.
    pub expires_at: Timestamp,
}

/// The file.
pub struct Keeper {
    path: PathBuf,
}

impl Keeper {
    /// The file of this user: below `XDG_CONFIG_HOME`, or else `~/.config` (XDG Base Directory Specification).
    ///
    /// # Errors
    /// Where this user has no home.
    pub fn of_this_user() -> anyhow::Result<Self> {
        // The specification wants a relative path there to be ignored.
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder =
            absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        let folder = folder.context(
            "there is no place for the tokens of servers: neither XDG_CONFIG_HOME nor HOME is set; set one of them, or set \
             LEASEHOLD_TOKEN to an API token",
        )?;
        Ok(Self { path: folder.join("leasehold").join("servers.json") })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is kept for a server.
    ///
    /// # Errors
    /// Where the file cannot be read, or others can.
    pub fn get(&self, server: &str) -> anyhow::Result<Option<Kept>> {
        Ok(self.read()?.remove(server))
    }

    /// Keeps something for a server, in place of what was kept before.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn put(&self, server: &str, kept: Kept) -> anyhow::Result<()> {
        let mut all = self.read()?;
        all.insert(server.to_owned(), kept);
        self.write(&all)
    }

    /// Forgets a server, and gives what was kept for it.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn forget(&self, server: &str) -> anyhow::Result<Option<Kept>> {
        let mut all = self.read()?;
        let kept = all.remove(server);
        if kept.is_some() {
            self.write(&all)?;
        }
        Ok(kept)
    }

    fn read(&self) -> anyhow::Result<BTreeMap<String, Kept>> {
        let shown = self.path.display();
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            other => {
                other.with_context(|| format!("cannot read {shown}, which holds the tokens of servers"))?
            }
        };
        let mode = std::fs::metadata(&self.path)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!(
                "others on this machine can reach {shown}, which holds the tokens of servers; run `chmod 600 {shown}`, and if \
                 somebody may have read it, `leasehold logout` and `leasehold login` for each server"
            );
        }
        // The message of the parser could repeat a token.
        serde_json::from_str(&text).map_err(|_| {
            anyhow::anyhow!("{shown} is not what `leasehold login` wrote; remove it, and log in again")
        })
    }

    /// Puts the whole file into place at once: whoever is interrupted leaves the old one.
    fn write(&self, all: &BTreeMap<String, Kept>) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut make = std::fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(folder).with_context(failed)?;
        let unnamed = self.path.with_extension(format!("new-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(&unnamed).with_context(failed)?;
        let written = serde_json::to_vec_pretty(all)
            .map_err(std::io::Error::from)
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&unnamed, &self.path));
        if written.is_err() {
            let _ = std::fs::remove_file(&unnamed);
        }
        written.with_context(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(token: &str) -> Kept {
        Kept { token: token.to_owned(), expires_at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn one_token_a_server_in_a_file_that_only_its_user_reads() {
        let folder = tempfile::tempdir().expect("a folder");
        let keeper = Keeper { path: folder.path().join("leasehold/servers.json") };
        let token = |server: &str| keeper.get(server).expect("reads").map(|kept| kept.token);
        assert_eq!(token("https://a.example.com"), None);
        assert!(keeper.forget("https://a.example.com").expect("reads").is_none());
        keeper.put("https://a.example.com", kept("lh_1")).expect("keeps");
        keeper.put("https://b.example.com", kept("lh_2")).expect("keeps");
        keeper.put("https://a.example.com", kept("lh_3")).expect("keeps");
        assert_eq!(token("https://a.example.com").as_deref(), Some("lh_3"));
        let mode = |path: &Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!(mode(&keeper.path), 0o600);
        assert_eq!(mode(keeper.path.parent().expect("a folder")), 0o700);
        let forgotten = keeper.forget("https://a.example.com").expect("forgets").map(|kept| kept.token);
        assert_eq!(forgotten.as_deref(), Some("lh_3"));
        assert_eq!(
            (token("https://a.example.com"), token("https://b.example.com").as_deref()),
            (None, Some("lh_2"))
        );
        std::fs::set_permissions(&keeper.path, std::fs::Permissions::from_mode(0o640)).expect("opened up");
        let refused = keeper.get("https://b.example.com").err().expect("others can read it").to_string();
        assert!(refused.contains("chmod 600") && !refused.contains("lh_2"), "{refused}");
        std::fs::set_permissions(&keeper.path, std::fs::Permissions::from_mode(0o600)).expect("closed");
        std::fs::write(&keeper.path, "{\"https://b.example.com\": \"lh_2\"}").expect("written");
        let refused = keeper.get("https://b.example.com").err().expect("no such file").to_string();
        assert!(refused.contains("log in again") && !refused.contains("lh_2"), "{refused}");
    }
}
