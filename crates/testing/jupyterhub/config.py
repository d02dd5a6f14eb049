"""The configuration of a hub for tests: everything on loopback, everybody by one password, and three services."""

import json
import os
import sys

# What the test has chosen: ports, secrets, and the part that is about Leasehold's own service.
with open(os.environ["LEASEHOLD_HUB"]) as file:
    chosen = json.load(file)

c = get_config()  # noqa: F821: the hub defines it.
c.JupyterHub.bind_url = f"http://127.0.0.1:{chosen['port']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{chosen['hub_port']}"
c.JupyterHub.cookie_secret_file = "cookie_secret"
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.api_page_max_limit = chosen["page_size_max"]
# The proxy is started beside the hub, so that both end together whatever happens.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{chosen['proxy_port']}"

# Whoever the hub knows logs in with their name and this; whoever was deleted is known no more.
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = chosen["password"]
c.Authenticator.allow_all = False
c.Authenticator.allow_existing_users = True
c.Authenticator.admin_users = {chosen["administrator"]}

c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = [sys.executable, chosen["server"]]
c.SimpleLocalProcessSpawner.home_dir_template = os.path.join(os.getcwd(), "{username}")

c.JupyterHub.services = [
    # By this one the test changes the hub and looks at it.
    {"name": "caretaker", "display": False, "api_token": chosen["caretaker_token"], "admin": True},
    # Another application, which users let do things in their name.
    {
        "name": "grader",
        "display": False,
        "api_token": chosen["grader_token"],
        "oauth_client_id": "service-grader",
        "oauth_redirect_uri": chosen["redirect_uri"],
        "oauth_client_allowed_scopes": ["inherit"],
    },
]
c.JupyterHub.load_groups = {"students": {"users": []}, "teachers": {"users": []}}
c.JupyterHub.load_roles = [
    # Everybody may let the application in, and may share their own server with others.
    {
        "name": "user",
        "scopes": ["self", "access:services!service=grader", "shares!user", "read:users:name", "read:groups:name"],
    },
    {"name": "roster", "groups": ["teachers"], "scopes": ["list:users", "read:users:name"]},
    {"name": "usage", "users": chosen["usage"], "scopes": ["read:users:activity"]},
]
# What the documents say to add for Leasehold.
exec(chosen["own"])
