"""Sends one message that is signed with the `standardwebhooks` package, and prints the status and the body of the answer.

Usage: sender.py URL BODY, with the secret in the variable WEBHOOK_SECRET.
"""

import os
import sys
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook

url, body = sys.argv[1], sys.argv[2]
message, now = f"msg_{uuid.uuid4().hex}", datetime.now(timezone.utc)
headers = {
    "content-type": "application/json",
    "webhook-id": message,
    "webhook-timestamp": str(int(now.timestamp())),
    "webhook-signature": Webhook(os.environ["WEBHOOK_SECRET"]).sign(message, now, body),
}
request = urllib.request.Request(url, body.encode(), headers, method="POST")
try:
    answer = urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
