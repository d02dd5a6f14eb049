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

/// Where crontabs are: of Debian and vixie cron, of openSUSE, of cronie, of busybox.
macro_rules! crontab_folders {
    () => {
        "/var/spool/cron/crontabs /var/spool/cron/tabs /var/spool/cron /etc/crontabs"
    };
}

/// Where jobs of `at` are: on Debian, Fedora, openSUSE, Arch and Alpine.
macro_rules! at_folders {
    () => {
        "/var/spool/cron/atjobs /var/spool/at /var/spool/atjobs /var/spool/atd"
    };
}

/// Those of some folders that are there, each once, by whatever names and links it is known.
macro_rules! folders {
    () => {
        r#"folders() { for folder in "$@"; do [ ! -d "$folder" ] || readlink -f -- "$folder"; done | sort -u; }
"#
    };
}

/// What atd calls the file of a job: its queue, and then its number and its time in hexadecimal digits.
macro_rules! at_names {
    ($first:literal) => {
        concat!(r#"-name "["#, $first, r#"]*" ! -name "?*[!0-9a-f]*""#)
    };
}

/// There is no such account; no such group; no such shell; sshd takes keys from elsewhere; no home folder; a home is there already;
/// a link where a file must be; the file is another one than was read; not to be done to root.
pub(super) const NO_ACCOUNT: u32 = 67;
pub(super) const NO_GROUP: u32 = 68;
pub(super) const NO_SHELL: u32 = 69;
pub(super) const KEYS_ARE_ELSEWHERE: u32 = 71;
pub(super) const NO_HOME: u32 = 72;
pub(super) const HOME_IS_THERE: u32 = 73;
pub(super) const IS_LINK: u32 = 74;
pub(super) const CHANGED: u32 = 75;
pub(super) const IS_ROOT: u32 = 77;

/// Tells all accounts and groups. On standard input: the one account whose keys are wanted, or an empty line for all; then
/// `yes` where sudo rules are wanted. Sums of the files come first and last, so that a change meanwhile shows.
pub(super) const READ: Script = script!(concat!(
    prelude!(),
    folders!(),
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
spools=$(folders "#,
    crontab_folders!(),
    r#")
for folder in $spools; do
  ls -- "$folder" >/dev/null 2>&1 || { echo unknown; continue; }
  for file in "$folder"/*; do
    [ -f "$file" ] || continue
    name=${file##*/}; [ -z "$only" ] || [ "$only" = "$name" ] || continue
    named=$(printf "%s" "$name" | base64 -w 0)
    head -c 1048577 -- "$file" >/dev/null 2>&1 || { echo "unknown:$named"; continue; }
    printf "%s:%s:" "$folder" "$named"; head -c 1048577 -- "$file" | base64 -w 0; echo
  done
done
if [ -z "$spools" ] && command -v crontab >/dev/null; then
  getent passwd | cut -d: -f1 | while IFS= read -r name; do
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    named=$(printf "%s" "$name" | base64 -w 0)
    if said=$(crontab -u "$name" -l 2>&1 >/dev/null </dev/null); then
      printf "crontab:%s:" "$named"; crontab -u "$name" -l 2>/dev/null </dev/null | head -c 1048577 | base64 -w 0; echo
    else
      case $said in *"no crontab for"*) ;; *) echo "unknown:$named";; esac
    fi
  done
fi
echo "@atjobs"
spools=$(folders "#,
    at_folders!(),
    r#")
for folder in $spools; do
  find "$folder" -maxdepth 1 -type f -name "[a-zA-Z]*" -printf "%U:%M\n" || { echo unknown; break; }
done
if [ -z "$spools" ] && { command -v at || command -v atd; } >/dev/null; then echo nowhere; fi
echo "@sudoers"
if [ "$rules" = yes ]; then
  if [ ! -e /etc/sudoers ]; then echo none
  elif command -v cvtsudoers >/dev/null; then cvtsudoers -e -f json /etc/sudoers 2>/dev/null | base64 -w 0; echo
  else echo unknown; fi
fi
sums
echo "@end""#
));

/// Tells when accounts logged in last, by whatever keeps it here: lastlog and lastlog2, wtmp and its successor, and what root's
/// sshd wrote to the journal. Of each the newest comes first. Whatever is missing, slow or broken is left out, and so are hosts'
/// names, which others choose.
pub(super) const LOG_INS: Script = script!(concat!(
    prelude!(),
    r#"TZ=UTC; export TZ
kept() { command -v "$1" >/dev/null && timeout 5 "$@" 2>/dev/null </dev/null; }
newest() { awk "!seen[\$1]++"; }
echo "@lastlog"
kept lastlog | grep -vF "**Never"; kept lastlog2 | grep -vF "**Never"
echo "@last"
kept last -F -w -i | newest; kept wtmpdb last -F -w -i | newest
echo "@journal"
kept journalctl -q -r --no-pager --no-hostname -o short-unix _UID=0 _COMM=sshd + _UID=0 _COMM=sshd-session |
  awk "\$3 == \"Accepted\" && \$5 == \"for\" && \$7 == \"from\" && !seen[\$6]++ { print \$1, \$6 }"
echo "@end"; exit 0"#
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
    folders!(),
    r#"IFS= read -r name; uid=$(id -u -- "$name" 2>/dev/null) || exit 67
[ "$uid" != 0 ] || exit 77
stays() { echo "the crontab of $name could not be removed, and would run for whoever gets this name: $1" >&2; exit 1; }
spools=$(folders "#,
    crontab_folders!(),
    r#")
for folder in $spools; do
  file=$folder/$name
  if [ -f "$file" ] || [ -L "$file" ]; then rm -f -- "$file"; touch -- "$folder"; fi
  if [ -f "$file" ] || [ -L "$file" ]; then stays "remove $file by hand"; fi
done
if [ -z "$spools" ] && command -v crontab >/dev/null; then
  said=$(crontab -u "$name" -r 2>&1 </dev/null) || case $said in *"no crontab for"*) ;; *) stays "$said";; esac
fi
for folder in $(folders "#,
    at_folders!(),
    r#"); do
  find "$folder" -maxdepth 1 -type f -uid "$uid" "#,
    at_names!("a-zA-Z="),
    r#" -delete || exit 1
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

/// Adds a key to those of an account, as that account, and makes the folder and the file where there are none. A link is followed
/// nowhere, and a last line without its end gets one first, or the new key would be its comment. On standard input: the account,
/// and the line.
pub(super) const ADD_KEY: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; uid=$(id -u -- "$name" 2>/dev/null) || exit 67; gid=$(id -g -- "$name")
[ "$uid" != 0 ] || exit 77
files=$(sshd -T 2>/dev/null | sed -n "s/^authorizedkeysfile //p")
case " $files " in
  "  "|*" .ssh/authorized_keys "*|*" %h/.ssh/authorized_keys "*) ;;
  *) echo "$files" >&2; exit 71;;
esac
home=$(getent passwd "$name" | cut -d: -f6); [ -n "$home" ] && [ -d "$home" ] || { echo "$home" >&2; exit 72; }
exec setpriv --reuid="$uid" --regid="$gid" --init-groups --reset-env /bin/sh -c "set -u; PATH=/usr/sbin:/usr/bin:/sbin:/bin
IFS= read -r line; umask 077; folder=\$1/.ssh; file=\$folder/authorized_keys
if [ -L \"\$folder\" ] || [ -L \"\$file\" ]; then echo \"\$file\" >&2; exit 74; fi
if [ ! -e \"\$folder\" ]; then mkdir -- \"\$folder\" || exit 1; restorecon -- \"\$folder\" 2>/dev/null; fi
if [ -e \"\$file\" ] && [ ! -f \"\$file\" ]; then echo \"\$file is no file\" >&2; exit 1; fi
sum() { [ ! -f \"\$file\" ] || sha256sum < \"\$file\"; }
before=\$(sum) || exit 1
new=\$(mktemp -- \"\$file.XXXXXXXX\") || exit 1
stop() { rm -f -- \"\$new\"; exit \"\$1\"; }
if [ -f \"\$file\" ]; then
  cat < \"\$file\" > \"\$new\" && chmod --reference=\"\$file\" -- \"\$new\" || stop 1
  if [ -n \"\$(tail -c 1 -- \"\$new\")\" ]; then echo >> \"\$new\" || stop 1; fi
fi
printf \"%s\\n\" \"\$line\" >> \"\$new\" || stop 1
now=\$(sum) || stop 1
[ \"\$now\" = \"\$before\" ] || stop 75
mv -f -- \"\$new\" \"\$file\" || stop 1" sh "$home""#
));

/// Replaces an account's crontab, removes it where nothing is left of it, or makes it where there is none. On standard input: the account, the folder of the
/// crontab as it was told, its sum as it was read (that of nothing where there is none), how many bytes its new content has, and that content. What was cut on its way
/// replaces nothing. Programs of cron leave out a file whose name begins with a dot.
/// A new one belongs to the account, as cron's own program has it; but for that of busybox, which reads only what is root's.
pub(super) const WRITE_CRONTAB: Script = script!(concat!(
    prelude!(),
    r#"IFS= read -r name; IFS= read -r folder; IFS= read -r sum; IFS= read -r size; id -u -- "$name" >/dev/null 2>&1 || exit 67
if [ "$folder" = crontab ]; then
  now=$(crontab -u "$name" -l 2>/dev/null </dev/null | sha256sum); [ "${now%% *}" = "$sum" ] || exit 75
  new=$(cat; echo .); new=${new%.}
  [ "$(printf "%s" "$new" | wc -c)" -eq "$size" ] || { echo "the new crontab was cut on its way" >&2; exit 1; }
  if [ -z "$new" ]; then exec crontab -u "$name" -r </dev/null; fi
  printf "%s" "$new" | crontab -u "$name" -; exit
fi
file=$folder/$name; umask 077; [ -f "$file" ] || [ ! -e "$file" ] || exit 75
sum() { if [ -f "$file" ]; then sha256sum < "$file"; else sha256sum < /dev/null; fi; }
new=$(mktemp -- "$folder/.leasehold.XXXXXXXX") || exit 1
stop() { rm -f -- "$new"; exit "$1"; }
owner=$(stat -c %u:%g -- "$file" 2>/dev/null) || { [ "$folder" = /etc/crontabs ] && owner=0:0; } || owner=$(id -u -- "$name"):$(stat -c %g -- "$folder") || stop 1
cat > "$new" && chown "$owner" -- "$new" && chmod 600 -- "$new" || stop 1
[ "$(wc -c < "$new")" -eq "$size" ] || { echo "the new crontab was cut on its way" >&2; stop 1; }
chcon --reference="$file" -- "$new" 2>/dev/null
now=$(sum) || stop 1
[ "${now%% *}" = "$sum" ] || stop 75
if [ -s "$new" ]; then mv -f -- "$new" "$file"; else rm -f -- "$new" "$file"; fi || stop 1
exec touch -- "$folder""#
));

/// Stops, starts or removes every job of `at` of an account; atd looks again then. On standard input: its name, and which of the
/// three. The number that atd left may be another program's by now.
pub(super) const CHANGE_AT: Script = script!(concat!(
    prelude!(),
    folders!(),
    r#"IFS= read -r name; IFS= read -r change; uid=$(id -u -- "$name" 2>/dev/null) || exit 67
case $change in
  stop) set -- -exec chmod u-x -- "{}" +;;
  start) set -- -exec chmod u+x -- "{}" +;;
  remove) set -- -delete;;
  *) exit 1;;
esac
for folder in $(folders "#,
    at_folders!(),
    r#"); do
  find "$folder" -maxdepth 1 -type f -uid "$uid" "#,
    at_names!("a-zA-Z"),
    r#" "$@" || exit 1
done
pid=$(cat /run/atd.pid 2>/dev/null)
case $pid in
  ""|*[!0-9]*) ;;
  *) [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != atd ] || kill -HUP "$pid" 2>/dev/null;;
esac
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
            LOG_INS,
            CREATE,
            DISABLE,
            ENABLE,
            DELETE,
            JOIN,
            LEAVE,
            WRITE,
            ADD_KEY,
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
