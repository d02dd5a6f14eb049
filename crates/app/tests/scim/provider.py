"""An identity provider as a script, with the client of PyPI's scim-client: `join MAIL…`, `leave MAIL…`, `delete MAIL…`, `list`."""

import os
import sys

from scim_client import SCIMClient
from scim_client.resources import User

client = SCIMClient(os.environ["SCIM_URL"], os.environ["SCIM_TOKEN"])
verb, mails = sys.argv[1], sys.argv[2:]


def found(mail):
    """The one user with this name."""
    search = client.search_users(f'userName eq "{mail}"', count=10, start_index=1)
    assert search.total_results == 1, search.total_results
    return search.resources[0]


if verb == "join":
    for mail in mails:
        given, family = mail.split("@")[0].title(), "Example"
        made = client.create_user(
            User(
                id=None,
                external_id=f"ext-{mail}",
                user_name=mail,
                active=True,
                name={"given_name": given, "family_name": family},
                display_name=f"{given} {family}",
                emails=[{"value": mail, "primary": True, "type": "work"}],
            )
        )
        assert made.active and client.read_user(made.id) == made
        assert found(mail).id == made.id
elif verb == "leave":
    for mail in mails:
        user = found(mail)
        user.active = False
        assert not client.update_user(user).active
elif verb == "delete":
    for mail in mails:
        client.delete_user(found(mail).id)
elif verb == "list":
    page = client.search_users("", count=100, start_index=1)
    for user in page.resources:
        print(user.user_name, "active" if user.active else "left")
