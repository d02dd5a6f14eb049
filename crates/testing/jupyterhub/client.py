"""A browser and another application in one, which know nothing of Leasehold: what a test of a hub is checked with.

Usage: client.py HUB, with one request as JSON on standard input and its answer as JSON on standard output:
{"do": "log_in", "user": …, "password": …} whether the hub lets somebody in
{"do": "authorize", "user": …, "password": …, "client_id": …, "client_secret": …, "redirect_uri": …}
    logs in, confirms what the application asks for, and exchanges the code that it gets: the access token
"""

import json
import sys
from urllib.parse import parse_qs, urljoin, urlparse

import requests

hub = sys.argv[1].rstrip("/")
asked = json.load(sys.stdin)
# Each keeps cookies of its own, and neither goes through a proxy of this machine.
browser, application = requests.Session(), requests.Session()
browser.trust_env = application.trust_env = False


def log_in():
    """Whether there is a session of the hub now."""
    page = hub + "/hub/login"
    browser.get(page).raise_for_status()
    form = {"username": asked["user"], "password": asked["password"], "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
    answer = browser.post(page, data=form, allow_redirects=False)
    if answer.status_code not in (302, 403):
        answer.raise_for_status()
    return answer.status_code == 302


def authorize():
    """The access token of an application that the user lets do things in their name."""
    assert log_in(), "the hub does not let the user in"
    page = hub + "/hub/api/oauth2/authorize"
    wanted = {
        "client_id": asked["client_id"],
        "redirect_uri": asked["redirect_uri"],
        "response_type": "code",
        "state": "of the application",
    }
    answer = browser.get(page, params=wanted, allow_redirects=False)
    if answer.status_code == 200:
        # The page asks the user, who confirms with the form that is on it.
        form = {"_xsrf": browser.cookies.get("_xsrf", path="/hub/"), "scopes": ["inherit"]}
        answer = browser.post(answer.url, data=form, headers={"Referer": answer.url}, allow_redirects=False)
    assert answer.status_code == 302, f"{answer.status_code}: {answer.text}"
    back = parse_qs(urlparse(urljoin(page, answer.headers["Location"])).query)
    form = {
        "client_id": asked["client_id"],
        "client_secret": asked["client_secret"],
        "grant_type": "authorization_code",
        "code": back["code"][0],
        "redirect_uri": asked["redirect_uri"],
    }
    answer = application.post(hub + "/hub/api/oauth2/token", data=form)
    answer.raise_for_status()
    return answer.json()["access_token"]


print(json.dumps({"log_in": log_in, "authorize": authorize}[asked["do"]]()))
