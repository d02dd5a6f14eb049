"""What the hub starts for a user: a server that answers everything with the user's name, until it or the hub is stopped."""

import http.server
import os
import threading
import time
from urllib.parse import urlparse


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["JUPYTERHUB_USER"].encode())


def end_with(hub):
    """A hub that was killed stops nothing, and its servers are in no group that is killed with it."""
    while os.getppid() == hub:
        time.sleep(0.2)
    os._exit(0)


threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
address = urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((address.hostname, address.port), Answer).serve_forever()
