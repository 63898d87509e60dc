"""What is installed is what is found: real wheels in fresh environments."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile

import pytest
from support import PLUGINS, PROVIDER, write_distribution

THIRD_PARTY = """
import urllib.request

import attrs
from tocsin import Limits, Provider, Receipt, RetryLater, Secret, hookimpl


@attrs.frozen
class Pager(Provider):
    topic: str
    base_url: str
    token: Secret = Secret("")

    name = "pager"
    limits = Limits(text=4096, unit="bytes")

    def deliver(self, message, delivery):
        request = urllib.request.Request(
            f"{self.base_url}/{self.topic}",
            data=message.text.encode(),
            headers={"X-ID": delivery.id, "Authorization": "Bearer " + self.token.reveal()},
        )
        try:
            with urllib.request.urlopen(request, timeout=delivery.timeout) as answer:
                return Receipt(reference=answer.headers["X-ID"])
        except OSError as error:
            raise RetryLater(str(error)) from error.with_traceback(None)


@hookimpl
def tocsin_register(registrar):
    registrar.provider(Pager)
"""

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(self.path, self.headers["X-ID"], body, flush=True)
        self.send_response(200)
        self.send_header("X-ID", "42")
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.handle_request()
"""


def python(interpreter, code, **environment):
    done = subprocess.run(
        [interpreter, "-W", "error", "-c", code],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def offers(interpreter, **environment):
    code = (
        "from tocsin import _plugins as p;"
        "print(*(offer.name for offer in p.offers()), sep=',')"
    )
    return python(interpreter, code, **environment).strip()


@pytest.fixture(scope="module")
def with_slack(fresh_environment):
    return fresh_environment("tocsin", "tocsin-slack")


def test_every_wheel_is_complete(wheels):
    """Types, templates, the licence and the readme are in the wheels, and no tests."""
    names = {
        wheel.name.split("-")[0]: zipfile.ZipFile(wheel).namelist()
        for wheel in wheels.glob("*.whl")
    }

    plugins = {f"tocsin_{plugin.name}" for plugin in PLUGINS}
    assert set(names) == {"tocsin"} | plugins
    for package, files in names.items():
        assert f"{package}/py.typed" in files
        assert any(file.endswith("licenses/LICENSE") for file in files)
        assert not any("tests/" in file for file in files)
    for package in ("tocsin_slack", "tocsin_email"):
        assert any("/templates/" in file for file in names[package])


def test_only_what_is_installed_is_found(with_slack):
    """With core and one provider installed there is that provider and no other."""
    assert offers(with_slack) == "slack"


def test_a_broken_plugin_is_named(with_slack, tmp_path):
    """Beside a broken plugin the others deliver, and the broken one is named."""
    site = tmp_path / "site"
    write_distribution(site, "tocsin_lines", PROVIDER, entry="lines")
    write_distribution(site, "acme_pager", "import no_such_module", entry="pager")
    config = tmp_path / "tocsin.toml"
    config.write_text(
        f"""
        [user]
        channels = ["pager", "out"]
        [channels.pager]
        provider = "pager"
        [channels.out]
        provider = "lines"
        path = {json.dumps(str(tmp_path / "lines"))}
        """
    )
    code = (
        "import tocsin; n = tocsin.Notifier.from_config();"
        "r = n.notify(tocsin.Alert('x')); n.close();"
        "print(n.settings.channels['pager'].problem);"
        "print([d.status.value for d in r.wait(0)])"
    )

    output = python(
        with_slack,
        code,
        PYTHONPATH=str(site),
        TOCSIN_CONFIG=str(config),
        TOCSIN_STATE_DIR=str(tmp_path / "state"),
    )

    problem, statuses = output.splitlines()
    assert "acme_pager" in problem
    assert "no_such_module" in problem
    assert statuses == "['pending', 'delivered']"
    assert offers(with_slack, PYTHONPATH=str(site)) == "lines,pager,slack"


def test_a_third_party_provider(with_slack, tmp_path):
    """Thirty lines that know `tocsin` alone are a provider."""
    assert len(THIRD_PARTY.strip().splitlines()) <= 36
    site = tmp_path / "site"
    write_distribution(site, "acme_pager", THIRD_PARTY, entry="pager")
    server = subprocess.Popen(
        [with_slack, "-c", SERVER], stdout=subprocess.PIPE, text=True
    )
    port = server.stdout.readline().strip()
    (tmp_path / "tocsin.toml").write_text(
        f"""
        [user]
        channels = ["phone"]
        [channels.phone]
        provider = "pager"
        topic = "lab"
        base_url = "http://127.0.0.1:{port}"
        token = {{ env = "PAGER_TOKEN" }}
        """
    )
    code = (
        "import tocsin; n = tocsin.Notifier.from_config();"
        "r = n.notify(tocsin.Alert('Loss is NaN'));"
        "print(r.wait(10)[0].receipt.reference); n.close()"
    )

    try:
        output = python(
            with_slack,
            code,
            PYTHONPATH=str(site),
            PAGER_TOKEN="t",
            TOCSIN_CONFIG=str(tmp_path / "tocsin.toml"),
            TOCSIN_STATE_DIR=str(tmp_path / "state"),
        )
        request, _ = server.communicate(timeout=10)
    finally:
        server.kill()
    assert output.strip() == "42"
    assert request.startswith("/lab ")
    assert "[INFO] Loss is NaN" in request


def test_versions_are_in_lockstep(wheels):
    """All packages bear one version, and a provider asks for exactly that core."""
    for wheel in wheels.glob("tocsin_*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            name = next(n for n in archive.namelist() if n.endswith("/METADATA"))
            metadata = archive.read(name).decode()
        assert "\nVersion: 0.1.0\n" in metadata
        assert re.search(
            r"^Requires-Dist: tocsin(\[http\])?==0\.1\.0$", metadata, re.MULTILINE
        )
