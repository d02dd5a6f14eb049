"""A connector of a system that is one file of members, which misbehaves in the way that its settings name."""

import json
import os
import subprocess
import sys
import threading

CAPABILITIES = ["enumerate", "prove_completeness", "read_back", "grant", "revoke", "disable_account", "list_credentials",
                "list_sessions", "issue_credential", "hand_over_credential"]
settings = {}


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(number, **message):
    write(json.dumps({"id": number, **message}) + "\n")


def members():
    with open(settings["members"]) as file:
        return file.read().split()


def jobs():
    """Who has the job that runs by itself, where the settings name a file of it."""
    if "jobs" not in settings:
        return []
    with open(settings["jobs"]) as file:
        return file.read().split()


def flood():
    try:
        while True:
            sys.stderr.write("nothing is as it should be " * 40 + "\n")
    except OSError:
        pass


def reached():
    """Leaves a sign that the fault was reached, with the processes that have to be gone afterwards."""
    child = subprocess.Popen(["sleep", "100000"], stdout=sys.stdout, stderr=sys.stderr)
    with open(settings["reached"] + ".new", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(settings["reached"] + ".new", settings["reached"])


def hang():
    reached()
    while True:
        sys.stdin.readline()
        threading.Event().wait(3600)


def enumerate(number, fault):
    say(number, type="entitlement", name="group/staff")
    for login in ["ann", "ben"]:
        say(number, type="account", key=login, login=login, enabled=True)
    if fault == "dies":
        sys.stderr.write("the disk is full\n")
        sys.exit(3)
    elif fault == "half":
        write('{"id":%d,"type":"grant","acc' % number)
        sys.exit(0)
    elif fault == "hangs":
        hang()
    elif fault == "long":
        write("x" * (100 << 20))
        hang()
    elif fault == "other id":
        say(number + 7, type="complete", evidence="all", facts=3)
    elif fault == "no json":
        write("Traceback (most recent call last):\n")
    elif fault == "no type":
        write('{"id":%d}\n' % number)
    elif fault == "unknown type":
        say(number, type="complet", evidence="all", facts=3)
    elif fault == "nul":
        say(number, type="account", key="a\0b", login="a", enabled=True)
    elif fault == "misspelt":
        say(number, type="account", key="cy", login="cy", enable=True)
    elif fault == "empty key":
        say(number, type="account", key="", login="cy", enabled=True)
    elif fault == "identity":
        say(number, type="identity", key="cy@example.com")
    elif fault == "problems":
        while True:
            say(number, type="problem", place="row", message="is wrong")
    elif fault == "error":
        say(number, type="error", why="no connection to the database, with " + settings.get("told", ""))
        return
    elif fault == "partial":
        say(number, type="partial", why="the last page did not come")
        return
    for login in members():
        say(number, type="grant", account=login, entitlement="group/staff")
    for login in jobs():
        say(number, type="credential", key="nightly", account=login, kind="scheduled_job", label="nightly", active=True)
    facts = 3 + len(members()) + len(jobs()) + (fault in ["misspelt", "empty key", "identity"])
    say(number, type="complete", evidence="" if fault == "no evidence" else "counted", facts=facts + (fault == "miscounts"))


def read_back(number, request, fault):
    name = request["account"]["key"] or request["account"]["login"]
    if fault == "other object":
        say(number, type="read", read="account", exists=False, enabled=False)
    elif fault == "cannot read":
        say(number, type="error", why="no connection to the database")
    elif request["read"] == "grant":
        say(number, type="read", read="grant", direct=name in members(), effective=name in members())
    elif request["read"] == "account":
        say(number, type="read", read="account", exists=name in ["ann", "ben"], enabled=name in ["ann", "ben"])
    elif request["read"] == "credential":
        say(number, type="read", read="credential", exists=name in jobs(), active=name in jobs())
    elif request["read"] == "hand_over":
        say(number, type="read", read="hand_over", left=name not in jobs(), arrived=request["to"]["login"] in jobs())
    else:
        say(number, type="unsupported", why="this is not kept")


def execute(number, request, fault):
    name, verb = request["account"]["login"], request["verb"]
    if fault == "dies at a change":
        os._exit(9)
    elif fault == "retry":
        say(number, type="retry", after_ms=1500, why="too many requests")
    elif verb == "hand_over_credential":
        to = request["to"]["login"]
        if to not in ["ann", "ben"] and fault != "hands over to nobody":
            say(number, type="refused", why="there is no member " + to)
            return
        with open(settings["jobs"], "w") as file:
            file.write({"loses what it hands over": "", "copies what it hands over": name + " " + to}.get(fault, to))
        say(number, type="acknowledged")
    elif verb == "grant" and request["entitlement"]["name"] != "group/staff":
        say(number, type="refused", why="there is no such group")
    elif verb == "revoke" and name not in members():
        say(number, type="already_so")
    else:
        left = [member for member in members() if member != name] + ([name] if verb == "grant" else [])
        if fault != "lies":
            with open(settings["members"], "w") as file:
                file.write(" ".join(left))
        say(number, type="acknowledged")
        if fault == "answers twice":
            say(number, type="acknowledged")


def issue(number, request, fault):
    name = request["account"]["key"] or request["account"]["login"]
    secret = "planted-issued-" + ("0123456789" if fault == "issues one secret" else os.urandom(16).hex())
    message = {"type": "issued", "kind": "token", "secret": secret, "instructions": "send it with each request"}
    if name not in ["ann", "ben"] and fault != "issues for nobody":
        message = {"type": "refused", "why": "there is no member " + name}
    elif fault == "issues what it does not list":
        message["key"] = "t-%d" % number
    elif fault == "issues a short secret":
        message["secret"] = os.urandom(2).hex()
    elif fault == "tells the secret twice":
        message["instructions"] = "send " + secret
    elif fault == "issues a number":
        message["secret"] = 31337000
    elif fault == "is not ready to issue":
        message = {"type": "retry", "after_ms": 1500, "why": "too many requests"}
    elif fault == "cannot issue":
        message = {"type": "error", "why": "no connection to the database"}
    elif fault == "takes issuing for a change":
        message = {"type": "acknowledged"}
    say(number, **message)


def main():
    for line in sys.stdin:
        request = json.loads(line)
        number, of_type = request["id"], request["type"]
        if of_type == "hello":
            settings.update(request["settings"])
            fault = settings.get("fault")
            if "password" in request["secrets"]:
                settings["told"] = request["secrets"]["password"]
            if fault in ["floods", "floods and answers"]:
                threading.Thread(target=flood, daemon=True).start()
            if fault in ["floods", "hangs at once"]:
                hang()
            if fault == "no hello":
                sys.stderr.write("cannot start with " + settings["told"] + "\n")
                sys.exit(4)
            protocol = 2 if fault == "speaks version 2" else 1
            capabilities = CAPABILITIES[:4] if fault == "offers less" else CAPABILITIES
            say(number, type="hello", protocol=protocol, program="faulty 0", capabilities=capabilities)
        elif of_type == "test":
            if fault == "shows what it was given":
                target = f"arguments {sys.argv[1:]}, environment {sorted(os.environ.items())}, secret {settings['told']}"
            else:
                target = f"process {os.getpid()}"
            say(number, type="tested", target=target, acting_as="robot" if fault == "acts" else None)
            if fault == "ends after each":
                return
        elif of_type == "enumerate":
            enumerate(number, fault)
        elif of_type == "read_back":
            read_back(number, request, fault)
        elif of_type == "execute":
            execute(number, request, fault)
        elif of_type == "issue_credential":
            issue(number, request, fault)


main()
