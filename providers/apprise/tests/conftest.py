import json
import threading
import warnings
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tocsin import Alert, Delivery, Secret
from tocsin._rendering import Circumstances, render
from tocsin_apprise import Apprise
from tocsin_apprise._service import Service

with warnings.catch_warnings():  # its services import what Python deprecates
    warnings.simplefilter("ignore")
    Service("json://localhost")

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


class Handler(BaseHTTPRequestHandler):
    """Answers with the status that the path ends in, if it does, or as it is told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        double = self.server.double
        double.requests.append((self.path, dict(self.headers), body))
        asked = self.path.partition("?")[0].rpartition("/")[2]
        answer = double.answers.pop(0) if double.answers else ""
        answer = answer or (int(asked) if asked.isdecimal() else 200)
        if answer == "hang":
            double.released.wait(60)
            return
        if answer == "hang up":
            return
        self.send_response(answer)
        if answer == 302:
            self.send_header("Location", f"{double.origin}/elsewhere")
        content = b"{}"
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # those who come at once wait their turn


class Double:
    """A service on the loopback that takes any request."""

    def __init__(self):
        self.requests, self.answers, self.released = [], [], threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.double = self
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.origin = f"http://{self.host}"

    @property
    def payloads(self):
        return [json.loads(body) for _, _, body in self.requests]

    def __enter__(self):
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def double():
    with Double() as double:
        yield double


@pytest.fixture
def sender(double):
    """Open a channel at the double, by the rest of its URL."""

    def sender(rest="hook", schema="json", user="", query=""):
        url = f"{schema}://{user}{double.host}/{rest}{query}"
        return Apprise(url=Secret(url)).open()

    return sender


@pytest.fixture
def message():
    """Render an alert as core does for a sender."""

    def message(title="Loss is NaN", *details, sender=None, **more):
        alert = Alert(title, *details, created_at=NOW, **more)
        limits = sender.limits if sender else None
        return render(Apprise, alert, Circumstances(now=NOW), limits=limits)

    return message


@pytest.fixture
def deliver(message):
    """Make one attempt."""

    def deliver(sender, *details, timeout=30.0, **more):
        told = message(*details or ("Loss is NaN",), sender=sender, **more)
        return sender.deliver(told, Delivery(id="d1", channel="x", timeout=timeout))

    return deliver
