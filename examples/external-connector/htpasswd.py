#!/usr/bin/env python3
"""A connector for web servers that keep their users in an htpasswd file and their groups in a group file.

Leasehold starts this program and speaks with it in lines of JSON, as docs/external-connectors.md says. It needs nothing
but Python's standard library. Its settings are two paths:

    [system.wiki]
    connector    = "external"
    command      = ["python3", "htpasswd.py"]
    capabilities = ["enumerate", "prove_completeness", "read_back", "grant", "revoke",
                    "create_account", "disable_account", "enable_account", "delete_account",
                    "issue_credential"]
    settings     = { users = "users", groups = "groups" }

What the files' words become in Leasehold's:

* a line `name:hash` of the users' file is an account; its key and login are the name;
* a line `name: member member` of the groups' file is the entitlement `group/name`, and each member holds it;
* an account is disabled by a `!` in front of its hash: no password fits it then, and it can be taken away again;
* a credential that is issued is a password in place of the one that is there; passwords are not listed.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import sys
import tempfile

PROTOCOL = 1
CAPABILITIES = [
    "enumerate", "prove_completeness", "read_back", "grant", "revoke",
    "create_account", "disable_account", "enable_account", "delete_account", "issue_credential",
]
PASSWORD_BYTES = 24
NO_SESSIONS = "a web server that asks for the password with every request keeps no sessions"


class Refused(Exception):
    """It will never be done as it was asked for; the text says why and what to do instead."""


class NotNow(Exception):
    """It may be done if it is asked for again; the text says what happened."""


class File:
    """A file of lines, read whole and replaced whole, so that whoever reads it sees the old one or the new one."""

    def __init__(self, path):
        self.path = os.path.abspath(path)

    def read(self):
        """The lines, as bytes and with their line breaks, and a mark that changes whenever the file does."""
        with open(self.path, "rb") as file:
            lines = file.read().splitlines(keepends=True)
            state = os.fstat(file.fileno())
        return lines, (state.st_ino, state.st_size, state.st_mtime_ns)

    def replace(self, lines, mark):
        """Writes the lines in place of those that were read with this mark."""
        state = os.stat(self.path)
        handle, new = tempfile.mkstemp(dir=os.path.dirname(self.path), prefix=".leasehold-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
            os.chmod(new, state.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.chown(new, state.st_uid, state.st_gid)
            if self.read()[1] != mark:
                raise NotNow(f"somebody else changed {self.path} in the meantime")
            os.replace(new, self.path)
        except BaseException:
            os.unlink(new)
            raise

    @contextlib.contextmanager
    def locked(self):
        """Keeps other processes of this program from changing the file at the same time."""
        with open(self.path + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def split(line):
    """A line's name and rest, or nothing where the web server does not read it either."""
    text = line.decode("utf-8").strip()
    if not text or text.startswith("#"):
        return None
    name, colon, rest = text.partition(":")
    if not colon or not name.strip():
        raise ValueError("is not `name:…`")
    return name.strip(), rest.strip()


class Wiki:
    """The two files of one web server."""

    def __init__(self, settings):
        if not all(isinstance(settings.get(key), str) for key in ("users", "groups")):
            raise ValueError("write `settings = { users = \"PATH\", groups = \"PATH\" }` into the configuration")
        self.users, self.groups = File(settings["users"]), File(settings["groups"])

    def read(self):
        """Who there is, by name, with the hash; what each group has as members; what could not be read; both marks."""
        problems, users, groups, marks = [], {}, {}, []
        for file, take in (
            (self.users, lambda name, rest: users.setdefault(name, rest)),
            (self.groups, lambda name, rest: groups.setdefault(name, set()).update(rest.split())),
        ):
            lines, mark = file.read()
            marks.append(mark)
            for number, line in enumerate(lines, 1):
                try:
                    found = split(line)
                except ValueError as error:
                    problems.append((f"{os.path.basename(file.path)}:{number}", f"cannot be read: {error}"))
                    continue
                if found:
                    take(*found)
        return users, groups, problems, marks

    def test(self):
        self.read()
        missing = [
            f"{file.path} and its folder cannot be written, so nothing can be changed"
            for file in (self.users, self.groups)
            if not os.access(os.path.dirname(file.path), os.W_OK)
        ]
        yield {"type": "tested", "target": f"{self.users.path} and {self.groups.path}", "missing_rights": missing}

    def enumerate(self):
        users, groups, problems, marks = self.read()
        facts = 0
        for name in sorted(groups):
            yield {"type": "entitlement", "name": f"group/{name}"}
            facts += 1
        for name in sorted(users):
            yield {"type": "account", "key": name, "login": name, "enabled": is_enabled(users[name])}
            facts += 1
        for group, members in sorted(groups.items()):
            for name in sorted(members):
                if name in users:
                    yield {"type": "grant", "account": name, "entitlement": f"group/{group}"}
                    facts += 1
                else:
                    message = f"{name} is not in the users' file; take the name out of the group"
                    yield {"type": "problem", "place": f"group {group}", "message": message}
        for place, message in problems:
            yield {"type": "problem", "place": place, "message": message}
        if problems:
            yield {"type": "partial", "why": f"{len(problems)} lines cannot be read; mend them in the file"}
        elif self.read()[3] != marks:
            yield {"type": "partial", "why": "the files changed while they were read"}
        else:
            evidence = f"{len(users)} users and {len(groups)} groups; both files are the same before and after"
            yield {"type": "complete", "evidence": evidence, "facts": facts}

    def read_back(self, read, account, entitlement=None, credential=None):
        users, groups, problems, _ = self.read()
        if problems:
            # Whoever stands in the line that cannot be read is not known.
            yield {"type": "error", "why": "{} {}; mend the line".format(*problems[0])}
        elif read == "grant":
            name = account["key"] or account["login"]
            kind, _, group = entitlement["name"].partition("/")
            held = kind == "group" and name in users and name in groups.get(group, ())
            yield {"type": "read", "read": "grant", "direct": held, "effective": held}
        elif read == "account":
            name = account["key"] or account["login"]
            exists = name in users
            yield {"type": "read", "read": "account", "exists": exists, "enabled": exists and is_enabled(users[name])}
        else:
            yield {"type": "unsupported", "why": NO_SESSIONS if read == "sessions" else "passwords are not listed"}

    def execute(self, action, verb, account, entitlement=None, credential=None, attributes=None):
        name = account["key"] or account["login"]
        change = {
            "grant": lambda: self.grant(name, group_of(entitlement)),
            "revoke": lambda: self.revoke(name, group_of(entitlement)),
            "create_account": lambda: self.create(name),
            "disable_account": lambda: self.rewrite_hash(name, lambda old: "!" + old if is_enabled(old) else old),
            "enable_account": lambda: self.rewrite_hash(name, self.enabled_hash),
            "delete_account": lambda: self.delete(name),
        }.get(verb)
        if change is None:
            raise Refused(f"this program does not offer {verb}")
        with self.users.locked(), self.groups.locked():
            yield {"type": "acknowledged", "detail": "written"} if change() else {"type": "already_so"}

    def issue_credential(self, action, account):
        """Sets a new password, and tells it this once. What `action` is does not matter here: each one is another."""
        name = account["key"] or account["login"]
        with self.users.locked():
            users = self.read()[0]
            if name not in users:
                raise Refused(f"there is no user {name}")
            if not is_enabled(users[name]):
                raise Refused(f"the user {name} is disabled; enable it first")
            password = secrets.token_urlsafe(PASSWORD_BYTES)
            self.rewrite_hash(name, lambda _: password_hash_of(password))
        yield {
            "type": "issued", "kind": "password", "secret": password,
            "instructions": f"The password of `{name}` at the web server. It takes the place of an earlier one.",
        }

    def grant(self, name, group):
        users, groups, _, _ = self.read()
        if name not in users:
            raise Refused(f"there is no user {name}")
        if group not in groups:
            raise Refused(f"there is no group {group}; write it into {self.groups.path} first")
        if name in groups[group]:
            return False
        if any(character.isspace() for character in name):
            raise Refused("a name with a blank in it cannot be a member: blanks part the members of a group")
        written = False

        def with_member(found, rest):
            # A group may have several lines; one of them is enough.
            nonlocal written
            if found != group or written:
                return None
            written = True
            return f"{found}: {rest} {name}".encode()

        return self.change(self.groups, with_member)

    def revoke(self, name, group):
        """Takes the name out of every line of the group, or of every group where none is given."""

        def without_member(found, rest):
            members = rest.split()
            if group not in (found, None) or name not in members:
                return None
            return (f"{found}: " + " ".join(member for member in members if member != name)).encode()

        return self.change(self.groups, without_member)

    def create(self, name):
        if not name or name.startswith("#") or ":" in name or any(c.isspace() for c in name) or not name.isprintable():
            raise Refused(f"{name!r} cannot be the name of a user here: no blanks, no colon, no # in front")
        users, _, _, _ = self.read()
        if name in users:
            return False
        lines, mark = self.users.read()
        if lines and not lines[-1].endswith(b"\n"):
            lines[-1] += b"\n"
        # No password fits this; the user gets one when a credential is issued, or by `htpasswd`.
        self.users.replace(lines + [f"{name}:*\n".encode()], mark)
        return True

    def rewrite_hash(self, name, rewrite):
        if name not in self.read()[0]:
            raise Refused(f"there is no user {name}")

        def with_hash(found, rest):
            new = rewrite(rest) if found == name else rest
            return None if new == rest else f"{found}:{new}".encode()

        return self.change(self.users, with_hash)

    def enabled_hash(self, old):
        if old == "!":
            raise Refused(f"this user has no password yet; set one: htpasswd {self.users.path} NAME")
        return old.removeprefix("!")

    def delete(self, name):
        # The groups first: a user who is made anew under the name must not be in them.
        left = self.revoke(name, None)
        gone = self.change(self.users, lambda found, rest: b"" if found == name else None)
        return left or gone

    def change(self, file, rewrite):
        """Replaces each line for which `rewrite(name, rest)` gives another; an empty one goes. Whether there was any."""
        lines, mark = file.read()
        changed = False
        for index, line in enumerate(lines):
            try:
                found = split(line)
            except ValueError:
                continue
            new = rewrite(*found) if found else None
            if new is not None:
                lines[index] = new and new + b"\n"
                changed = True
        if changed:
            file.replace(lines, mark)
        return changed


def is_enabled(password_hash):
    return not password_hash.startswith("!")


def password_hash_of(password):
    # What every web server reads and Python has. It is quick to compute, so it guards no password that somebody thought of;
    # these are random, and nobody finds them by trying.
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


def group_of(entitlement):
    kind, _, name = entitlement["name"].partition("/")
    if kind != "group":
        raise Refused(f"{entitlement['name']} is no group, and there is nothing else to hold here")
    return name


def say(number, message):
    # One line a message, sent at once. What does not fit into the pipe waits here until it is read.
    sys.stdout.write(json.dumps({"id": number, **message}) + "\n")
    sys.stdout.flush()


def answers(wiki, request):
    of_type = request.pop("type")
    if of_type == "test":
        return wiki.test()
    if of_type == "enumerate":
        return wiki.enumerate()
    if of_type == "read_back":
        return wiki.read_back(**request)
    if of_type == "execute":
        return wiki.execute(**request)
    if of_type == "issue_credential":
        return wiki.issue_credential(**request)
    raise ValueError(f"a request of type {of_type} is not known")


def main():
    wiki = None
    # The end of the input is the end of this program.
    for line in sys.stdin:
        request = json.loads(line)
        number = request.pop("id")
        try:
            if request["type"] == "hello":
                wiki = Wiki(request["settings"])
                say(number, {
                    "type": "hello", "protocol": PROTOCOL, "program": "htpasswd.py 1.0", "capabilities": CAPABILITIES,
                })
                continue
            for message in answers(wiki, request):
                say(number, message)
        except Refused as refused:
            say(number, {"type": "refused", "why": str(refused)})
        except NotNow as not_now:
            say(number, {"type": "retry", "why": str(not_now)})
        except (OSError, KeyError, ValueError) as error:
            say(number, {"type": "error", "why": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
