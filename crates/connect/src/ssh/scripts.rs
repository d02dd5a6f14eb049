//! Every command that is run on a host, whole and constant. A name, a key or a file's content comes on standard input, where
//! no shell takes it apart. No script holds a single quote, because it stands between two.

/// One command, as root already and by way of `sudo`.
pub(super) struct Script {
    pub as_root: &'static str,
    pub by_sudo: &'static str,
}

macro_rules! script {
    ($text:expr) => {
        Script {
            as_root: concat!("exec /bin/sh -c '", $text, "'"),
            by_sudo: concat!("exec sudo -n -- /bin/sh -c '", $text, "'"),
        }
    };
}

macro_rules! prelude {
    () => {
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin; LC_ALL=C; export PATH LC_ALL; set -u\n"
    };
}

/// There is no such account; no such group; no such shell; a home is there already; the file is another one than was read; not to be done to root.
pub(super) const NO_ACCOUNT: u32 = 67;
pub(super) const NO_GROUP: u32 = 68;
pub(super) const NO_SHELL: u32 = 69;
pub(super) const HOME_IS_THERE: u32 = 73;
pub(super) const CHANGED: u32 = 75;
pub(super) const IS_ROOT: u32 = 77;

/// Tells all accounts and groups. On standard input: the one account whose keys are wanted, or an empty line for all; then
/// `yes` where sudo rules are wanted. Sums of the files come first and last, so that a change meanwhile shows.
pub(super) const READ: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r only; IFS= read -r rules
[ "$(id -u)" = 0 ] || { echo "not root" >&2; exit 1; }
sums() { echo "@sums"; cat /etc/passwd /etc/group /etc/shadow | sha256sum; }
sums
echo "@passwd"; getent passwd || exit 1
echo "@group"; getent group || exit 1
echo "@shadow"; getent shadow || exit 1
echo "@nsswitch"; grep -E "^(passwd|group|shadow|sudoers):" /etc/nsswitch.conf || :
echo "@sshd"
if [ -z "$only" ]; then
  sshd -T 2>/dev/null | grep -iE "^(authorizedkeysfile|authorizedkeyscommand|trustedusercakeys) " || echo unknown
fi
echo "@keys"
getent passwd | while IFS=: read -r name x x x x home x; do
  [ -z "$only" ] || [ "$only" = "$name" ] || continue
  for file in "$home/.ssh/authorized_keys" "$home/.ssh/authorized_keys2"; do
    [ -f "$file" ] || continue
    printf "%s:" "$name"; printf "%s" "$file" | base64 -w 0; printf ":"
    head -c 1048577 -- "$file" | base64 -w 0 || exit 1
    echo
  done
done
echo "@crontabs"
for folder in /var/spool/cron/crontabs /var/spool/cron; do
  [ -d "$folder" ] || continue
  for file in "$folder"/*; do
    [ -f "$file" ] || continue
    name=${file##*/}; [ -z "$only" ] || [ "$only" = "$name" ] || continue
    command -v crontab >/dev/null || { echo unknown; break 2; }
    crontab -u "$name" -l >/dev/null 2>&1 || { echo "unknown $name"; continue; }
    printf "%s:" "$name"; jobs=$(crontab -u "$name" -l 2>/dev/null | head -c 1048577 | base64 -w 0); echo "$jobs"
  done
done
echo "@atjobs"
for folder in /var/spool/cron/atjobs /var/spool/at; do
  [ -d "$folder" ] || continue
  find "$folder" -maxdepth 1 -type f -name "[a-zA-Z]*" -printf "%U:%M\n" || { echo unknown; break; }
done
echo "@sudoers"
if [ "$rules" = yes ]; then
  if [ ! -e /etc/sudoers ]; then echo none
  elif command -v cvtsudoers >/dev/null; then cvtsudoers -e -f json /etc/sudoers 2>/dev/null | base64 -w 0; echo
  else echo unknown; fi
fi
sums
echo "@end""#
));

/// Makes an account with a home folder of its own and a password that cannot be used. On standard input: its name, its shell,
/// and the full name. A home that is there already may hold the keys of somebody who had the name before.
pub(super) const CREATE: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; IFS= read -r shell; IFS= read -r full
[ -x "$shell" ] || exit 69
home=$(useradd -D | sed -n "s/^HOME=//p"); [ -n "$home" ] || exit 1
if [ -e "$home/$name" ] || [ -L "$home/$name" ]; then echo "$home/$name" >&2; exit 73; fi
exec useradd --create-home --base-dir "$home" --shell "$shell" --comment "$full" -- "$name""#
));

/// Expires an account. On standard input: its name.
pub(super) const DISABLE: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; id -u -- "$name" >/dev/null 2>&1 || exit 67
exec usermod --expiredate 1 -- "$name""#
));

/// Takes an account's expiry away. On standard input: its name.
pub(super) const ENABLE: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; id -u -- "$name" >/dev/null 2>&1 || exit 67
exec usermod --expiredate "" -- "$name""#
));

/// Removes an account, and its jobs first: they would run for whoever gets the name or the number next. On standard input: its name.
pub(super) const DELETE: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; uid=$(id -u -- "$name" 2>/dev/null) || exit 67
[ "$uid" != 0 ] || exit 77
if command -v crontab >/dev/null; then crontab -u "$name" -r 2>/dev/null; fi
for folder in /var/spool/cron/atjobs /var/spool/at; do
  [ ! -d "$folder" ] || find "$folder" -maxdepth 1 -type f -uid "$uid" -delete || exit 1
done
exec userdel -- "$name""#
));

/// Adds an account to a group. On standard input: the account and the group.
pub(super) const JOIN: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; IFS= read -r group; id -u -- "$name" >/dev/null 2>&1 || exit 67
getent group "$group" >/dev/null || exit 68
exec gpasswd --add "$name" "$group""#
));

/// Takes an account out of a group. On standard input: the account and the group.
pub(super) const LEAVE: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; IFS= read -r group; getent group "$group" >/dev/null || exit 68
exec gpasswd --delete "$name" "$group""#
));

/// Replaces a file of an account's keys, as that account: a folder that it turned into a link elsewhere gives it nothing that
/// it has not got. On standard input: the account, the file, its sum as it was read, and its new content.
pub(super) const WRITE: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; uid=$(id -u -- "$name" 2>/dev/null) || exit 67; gid=$(id -g -- "$name")
exec setpriv --reuid="$uid" --regid="$gid" --init-groups --reset-env /bin/sh -c "set -u; PATH=/usr/bin:/bin
IFS= read -r file; IFS= read -r sum; umask 077
new=\$(mktemp -- \"\$file.XXXXXXXX\") || exit 1
cat > \"\$new\" && chmod --reference=\"\$file\" -- \"\$new\" && now=\$(sha256sum < \"\$file\") || { rm -f -- \"\$new\"; exit 1; }
[ \"\${now%% *}\" = \"\$sum\" ] || { rm -f -- \"\$new\"; exit 75; }
mv -f -- \"\$new\" \"\$file\" || { rm -f -- \"\$new\"; exit 1; }""#
));

/// Replaces an account's crontab, or removes it where nothing is left of it. On standard input: the account, the sum of the crontab as
/// it was read, and its new content.
pub(super) const WRITE_CRONTAB: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; IFS= read -r sum; id -u -- "$name" >/dev/null 2>&1 || exit 67
now=$(crontab -u "$name" -l 2>/dev/null | sha256sum); [ "${now%% *}" = "$sum" ] || exit 75
new=$(cat; echo .); new=${new%.}
if [ -z "$new" ]; then exec crontab -u "$name" -r; fi
printf "%s" "$new" | crontab -u "$name" -"#
));

/// Stops, starts or removes every job of `at` of an account; atd looks again then. On standard input: its name, and which of the three.
pub(super) const CHANGE_AT: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; IFS= read -r change; uid=$(id -u -- "$name" 2>/dev/null) || exit 67
case $change in
  stop) set -- -exec chmod u-x -- "{}" +;;
  start) set -- -exec chmod u+x -- "{}" +;;
  remove) set -- -delete;;
  *) exit 1;;
esac
for folder in /var/spool/cron/atjobs /var/spool/at; do
  [ -d "$folder" ] || continue
  find "$folder" -maxdepth 1 -type f -uid "$uid" -name "[a-zA-Z]*" "$@" || exit 1
done
if [ -s /run/atd.pid ]; then kill -HUP "$(cat /run/atd.pid)" 2>/dev/null; fi
exit 0"#
));

/// Lists the processes of an account. On standard input: its name.
pub(super) const PROCESSES: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; uid=$(id -u -- "$name" 2>/dev/null) || exit 67
[ "$uid" != 0 ] || exit 77
date +%s; ps -o pid=,stat=,etimes=,comm= -u "$uid" -U "$uid"; echo "@end""#
));

/// Lists the processes of accounts that are gone: whose number has no name.
pub(super) const OWNERLESS: Script = script!(concat!(
    prelude!(),
    r#"ps -eo uid=,pid= | while read -r uid pid; do getent passwd "$uid" >/dev/null || echo "$pid"; done; echo "@end""#
));

/// Ends the processes of an account. On standard input: its name.
pub(super) const END: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; uid=$(id -u -- "$name" 2>/dev/null) || exit 67
[ "$uid" != 0 ] || exit 77
pids=$(ps -o pid= -u "$uid" -U "$uid") || exit 0
kill -KILL $pids 2>/dev/null; exit 0"#
));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_ends_its_own_quotes() {
        for script in [
            READ,
            CREATE,
            DISABLE,
            ENABLE,
            DELETE,
            JOIN,
            LEAVE,
            WRITE,
            WRITE_CRONTAB,
            CHANGE_AT,
            PROCESSES,
            OWNERLESS,
            END,
        ] {
            assert_eq!(script.as_root.matches('\'').count(), 2, "{}", script.as_root);
            assert_eq!(script.by_sudo.matches('\'').count(), 2, "{}", script.by_sudo);
        }
    }
}
