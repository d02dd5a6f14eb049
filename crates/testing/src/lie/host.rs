//! A host that lies to one account. Its connection is encrypted, so that nobody in between could: the account's shell puts programs
//! that do nothing and succeed before those that change the host.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What changes accounts, groups and files; each succeeds at once.
const IDLE: [&str; 5] = ["gpasswd", "setpriv", "useradd", "userdel", "usermod"];

/// It tells what jobs there are, and changes none.
const CRONTAB: &str = r#"#!/bin/sh
case " $* " in *" -l "*) PATH=/usr/sbin:/usr/bin:/sbin:/bin exec crontab "$@" ;; esac
"#;

/// Runs a command with those programs before the others, wherever it says where programs are. `kill` belongs to the shell itself.
const SHELL: &str = r#"#!/bin/sh
[ "$1" = -c ] || exit 64
exec /bin/sh -c "$(printf '%s' "$2" | sed 's|PATH=/usr/sbin:|kill() { :; }; PATH=FOLDER:/usr/sbin:|')"
"#;

/// Makes the programs in a folder, and gives the shell to be the account's.
///
/// # Panics
/// Where they cannot be written.
pub(crate) fn shell(folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).expect("make the folder of programs");
    let program = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("write a program");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("make it a program");
        path
    };
    for name in IDLE {
        program(name, "#!/bin/sh\n");
    }
    program("crontab", CRONTAB);
    program("shell", &SHELL.replace("FOLDER", &folder.display().to_string()))
}
