"""The metrics, as Prometheus' own client exposes them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import tocsin_prometheus
from tocsin import _plugins as plugins


def exposed():
    """Return the value of each series of ours, as a scrape would read it."""
    text = generate_latest(REGISTRY).decode()
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("tocsin_") and not sample.name.endswith("_created")
    }


def grown(before, name):
    """Return by how much each series of a name grew, by its labels' values."""
    return {
        tuple(value for _, value in labels): value - before.get((found, *labels), 0)
        for (found, *labels), value in exposed().items()
        if found == name and value != before.get((found, *labels), 0)
    }


def test_what_is_counted(raise_alerts):
    """Calls by what they returned, deliveries by what became of them, and how long it took."""
    before = exposed()
    raise_alerts(tocsin_prometheus, "fine", "fine", "fine", "refused")

    assert grown(before, "tocsin_alerts_total") == {
        ("admitted",): 2,
        ("suppressed",): 2,
    }
    assert grown(before, "tocsin_deliveries_total") == {
        ("dm", "post", "", "delivered"): 1,
        ("dm", "post", "rejected", "failed"): 1,
    }
    assert grown(before, "tocsin_delivery_duration_seconds_count") == {
        ("dm", "post", "delivered"): 1,
        ("dm", "post", "failed"): 1,
    }


def test_why_it_failed(raise_alerts):
    """The reason is a word of few: what the service said would be a series for each."""
    before = exposed()
    raise_alerts(tocsin_prometheus, "broken")

    assert grown(before, "tocsin_deliveries_total") == {
        ("dm", "post", "out_of_order", "failed"): 1,
    }


@pytest.mark.parametrize(
    "result", ["admitted", "suppressed", "unrouted", "deferred", "refused"]
)
def test_each_result_is_there_from_the_start(result):
    """What never happened is 0, and no gap."""
    assert ("tocsin_alerts_total", ("result", result)) in exposed()


def test_names():
    """A counter ends in _total, a time in _seconds, and each has a text."""
    text = generate_latest(REGISTRY).decode()
    types = dict(re.findall(r"^# TYPE (tocsin_\w+) (\w+)$", text, re.MULTILINE))
    helps = set(re.findall(r"^# HELP (tocsin_\w+) .+$", text, re.MULTILINE))
    ours = {name: kind for name, kind in types.items() if not name.endswith("_created")}

    assert ours == {
        "tocsin_alerts_total": "counter",
        "tocsin_deliveries_total": "counter",
        "tocsin_delivery_duration_seconds": "histogram",
    }
    assert helps == set(types)


def test_it_is_installed():
    """`listeners = ["prometheus"]` finds it."""
    hears = plugins.load_listener("prometheus").hears

    assert set(hears) == {"tocsin_delivery_settled", "tocsin_alerts_counted"}


_PROGRAM = """
import prometheus_client
import tocsin
for name in ("a", "b"):
    with tocsin.init(config="tocsin.toml", mode="offline", name=name) as run:
        run.alert("x")
print(prometheus_client.generate_latest().decode())
"""


def test_a_program_of_two_runs(tmp_path):
    """A process has one registry: what both runs raised is in it, at the end of each."""
    config = 'listeners = ["prometheus"]\n[user]\nname = "ada"\n'
    (tmp_path / "tocsin.toml").write_text(config)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "TOCSIN_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert 'tocsin_alerts_total{result="unrouted"} 2.0' in done.stdout
    assert "Traceback" not in done.stderr
