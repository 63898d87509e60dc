"""A configuration with a file for a channel, in the process of the framework."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import attrs
import pytest
from support import until, write_distribution

import tocsin
from tocsin import _plugins
from tocsin.integrations import _forwarding

if TYPE_CHECKING:
    from pathlib import Path

PROVIDER = '''
import json
import attrs
from tocsin import Provider, Receipt, hookimpl

@attrs.frozen
class Facts(Provider):
    """Appends what an alert says to a file."""

    path: str

    name = "facts"

    def deliver(self, message, delivery):
        alert = message.alert
        line = {"title": alert.title, "text": alert.text, "kind": alert.kind,
                "level": alert.level.value, "url": alert.url, "key": alert.key,
                "fields": dict(alert.fields), "project": alert.origin.project,
                "run": alert.origin.run, "name": alert.origin.run_name}
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\\n")
        return Receipt(reference=delivery.id)

@hookimpl
def tocsin_register(registrar):
    registrar.provider(Facts)
'''


@attrs.frozen
class Delivered:
    """What the channel received."""

    path: Path

    def all(self) -> list[dict[str, object]]:
        try:
            return [json.loads(line) for line in self.path.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def titles(self) -> list[str]:
        return [str(alert["title"]) for alert in self.all()]

    def wait_for(self, title: str) -> dict[str, object]:
        """Wait for an alert whose title begins so."""

        def found():
            return [a for a in self.all() if str(a["title"]).startswith(title)]

        return until(found)[0]

    def of_kind(self, kind: str) -> list[dict[str, object]]:
        return [alert for alert in self.all() if alert["kind"] == kind]


@pytest.fixture
def delivered(tmp_path, monkeypatch):
    for variable in ("TOCSIN_MODE", "RANK", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(variable, raising=False)
    write_distribution(tmp_path / "site", "tocsin_facts", PROVIDER, entry="facts")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "tocsin_facts", raising=False)
    _plugins._entry_points.cache_clear()
    config = tmp_path / "tocsin.toml"
    config.write_text(
        f"""
        submit_timeout = 10
        [user]
        name = "ada"
        [[user.subscriptions]]
        kinds = ["*"]
        channels = ["out"]
        [channels.out]
        provider = "facts"
        path = "{tmp_path}/facts"
        """
    )
    monkeypatch.setenv("TOCSIN_CONFIG", str(config))
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.chdir(tmp_path)
    _forwarding._notifier.cache_clear()
    yield Delivered(tmp_path / "facts")
    if (notifier := _forwarding._notifier()) is not None:
        notifier.close()
    if tocsin.run is not None:
        tocsin.run.finish()
    _plugins._entry_points.cache_clear()


@pytest.fixture
def run_page(delivered):
    """Runs those examples of a page that need a framework, with names that they use."""
    from docs_support import blocks

    def run(page, framework, **names):
        found = [b for b in blocks(page) if f"needs {framework};" in (b.reason or "")]
        for block in found:
            exec(compile(block.text, block.where, "exec"), dict(names))
        return len(found)

    return run
