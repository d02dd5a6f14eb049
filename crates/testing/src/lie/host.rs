//! A host that shows one account something else than is there. Its connection is encrypted, so that nobody in between could: the
//! account's shell puts other programs before those of the host, or another folder in the place of `/var/spool`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What changes accounts, groups and files; each succeeds at once.
const IDLE: [&str; 5] = ["gpasswd", "setpriv", "useradd", "userdel", "usermod"];

/// What changes crontabs; a new one that was made ready goes, and everything that was there stays.
const MOVE: &str = r#"#!/bin/sh
for file; do case $file in */.leasehold.*) /bin/rm -f -- "$file" ;; esac; done
"#;

/// It tells what jobs there are, and changes none.
const CRONTAB: &str = r#"#!/bin/sh
case " $* " in *" -l "*) PATH=/usr/sbin:/usr/bin:/sbin:/bin exec crontab "$@" ;; esac
"#;

/// cronie's `crontab`, where PAM says no of the account.
const REFUSED_BY_PAM: &str = r#"#!/bin/sh
echo "You ($2) are not allowed to access to (crontab) because of pam configuration." >&2
exit 1
"#;

/// The host's own program, after which everything of the account is killed, its connections too.
const LAST: &str = r#"#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin NAME "$@"
pkill -KILL -U ACCOUNT
"#;

/// Runs a command with those programs before the others, wherever it says where programs are. `kill` belongs to the shell itself.
const SHELL: &str = r#"#!/bin/sh
[ "$1" = -c ] || exit 64
exec /bin/sh -c "$(printf '%s' "$2" | sed 's|PATH=/usr/sbin:|BEFOREPATH=FOLDER:/usr/sbin:|')"
"#;

/// Runs a command where another folder stands for `/var/spool`, for this command alone.
const ELSEWHERE: &str = r#"#!/bin/sh
[ "$1" = -c ] || exit 64
exec sudo -n unshare --mount /bin/sh -c 'mount --bind FOLDER /var/spool && exec SHELL -c "$1"' sh "$2"
"#;

/// Makes a shell of an account that lies in a folder: what would change the host does nothing, and succeeds.
///
/// # Panics
/// Where it cannot be written.
pub(crate) fn shell(folder: &Path) -> PathBuf {
    make_folder(folder);
    for name in IDLE {
        program(folder, name, "#!/bin/sh\n");
    }
    for name in ["mv", "rm"] {
        program(folder, name, MOVE);
    }
    program(folder, "crontab", CRONTAB);
    program(folder, "shell", &with_programs(folder, "kill() { :; }; "))
}

/// Makes a shell of an account that loses its connection in a folder: what changes the host does so, and nobody hears of it.
///
/// # Panics
/// Where it cannot be written.
pub(crate) fn shell_that_ends(folder: &Path, account: &str) -> PathBuf {
    make_folder(folder);
    for name in IDLE {
        program(folder, name, &LAST.replace("NAME", name).replace("ACCOUNT", account));
    }
    program(folder, "shell", &with_programs(folder, ""))
}

/// Makes a shell of an account in a folder, to which PAM lets nobody's crontab be read or changed, and to which another folder
/// is `/var/spool`.
///
/// # Panics
/// Where it cannot be written.
pub(crate) fn shell_with_spool(folder: &Path, spool: &Path) -> PathBuf {
    make_folder(folder);
    program(folder, "crontab", REFUSED_BY_PAM);
    let shell = program(folder, "shell", &with_programs(folder, ""));
    let text = ELSEWHERE.replace("FOLDER", &spool.display().to_string());
    program(folder, "elsewhere", &text.replace("SHELL", &shell.display().to_string()))
}

/// Makes a shell of an account in a folder, to which programs of the test stand before those of the host.
///
/// # Panics
/// Where it cannot be written.
pub(crate) fn shell_before(folder: &Path, programs: &[(&str, &str)]) -> PathBuf {
    make_folder(folder);
    for (name, text) in programs {
        program(folder, name, &format!("#!/bin/sh\n{text}\n"));
    }
    program(folder, "shell", &with_programs(folder, ""))
}

fn with_programs(folder: &Path, before: &str) -> String {
    SHELL.replace("BEFORE", before).replace("FOLDER", &folder.display().to_string())
}

fn make_folder(folder: &Path) {
    std::fs::create_dir_all(folder).expect("make the folder of programs");
}

fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("write a program");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("make it a program");
    path
}
