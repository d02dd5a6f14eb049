"""A receiver of webhooks that trusts nobody: every message is checked with the `standardwebhooks` package.

Usage: receiver.py PORT. Beside POST /hook/NAME, which is for webhooks, it takes:
PUT /secrets/NAME  a JSON list of secrets, of which one has to have signed
PUT /answer/NAME   {"status": 204, "delay_s": 0}, for every message from then on
GET /messages/NAME everything that came, as a JSON list
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

LOCK = threading.Lock()
SECRETS, ANSWERS, MESSAGES = {}, {}, {}


def is_signed_with(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def reply(self, status, document=None):
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("location", self.path + "-moved")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        kind, name = self.path.strip("/").split("/")
        with LOCK:
            {"secrets": SECRETS, "answer": ANSWERS}[kind][name] = json.loads(self.body())
        self.reply(204)

    def do_GET(self):
        with LOCK:
            self.reply(200, MESSAGES.get(self.path.split("/")[-1], []))

    def do_POST(self):
        name, body = self.path.split("/")[-1], self.body()
        with LOCK:
            secrets = SECRETS.get(name, [])
            answer = ANSWERS.get(name, {})
        headers = {key.lower(): value for key, value in self.headers.items()}
        message = {
            "id": headers.get("webhook-id"),
            "at": time.time(),
            "signed_with": [is_signed_with(secret, body, headers) for secret in secrets],
            "signatures": len(headers.get("webhook-signature", "").split()),
            "content_type": headers.get("content-type"),
            "answered": answer.get("status", 204),
            "body": body.decode(),
        }
        # What was changed on the way is found, too.
        message["tampered_is_refused"] = not any(
            is_signed_with(secret, body + b" ", headers) for secret in secrets
        )
        with LOCK:
            MESSAGES.setdefault(name, []).append(message)
        time.sleep(answer.get("delay_s", 0))
        try:
            self.reply(answer.get("status", 204), None if answer.get("status", 204) == 204 else {"why": "told to"})
        except (BrokenPipeError, ConnectionResetError):
            pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
