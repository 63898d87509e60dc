"""The metrics, as OpenTelemetry's own SDK collects them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import tocsin
import tocsin_otel
from tocsin import _plugins as plugins

RESULTS = {"admitted", "suppressed", "unrouted", "deferred", "refused"}


@pytest.fixture(scope="session")
def reader():
    """There is one meter provider in a process, and it is set once."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    yield reader
    provider.shutdown()


class Collected:
    """What a reader has collected, by the metric's name."""

    def __init__(self, reader):
        data = reader.get_metrics_data()
        scopes = [] if data is None else data.resource_metrics[0].scope_metrics
        self.scopes = [one.scope for one in scopes]
        self.metrics = {metric.name: metric for one in scopes for metric in one.metrics}

    def points(self, name):
        metric = self.metrics.get(name)
        return (
            {}
            if metric is None
            else {
                tuple(sorted(point.attributes.items())): point
                for point in metric.data.data_points
            }
        )

    def values(self, name):
        return {
            key: getattr(point, "value", None) or point.count
            for key, point in self.points(name).items()
        }


def grown(before, after, name):
    """Return by how much each series grew."""
    had = before.values(name)
    return {
        tuple(dict(key).values()): value - had.get(key, 0)
        for key, value in after.values(name).items()
        if value != had.get(key, 0)
    }


def test_what_is_counted(reader, raise_alerts):
    """Calls by what they returned, deliveries by what became of them, and how long it took."""
    before = Collected(reader)
    raise_alerts(tocsin_otel, "fine", "fine", "fine", "refused")
    after = Collected(reader)

    assert grown(before, after, "tocsin.alerts") == {
        ("admitted",): 2,
        ("suppressed",): 2,
    }
    assert grown(before, after, "tocsin.deliveries") == {
        ("dm", "post", "delivered"): 1,
        ("rejected", "dm", "post", "failed"): 1,
    }
    assert grown(before, after, "tocsin.delivery.duration") == {
        ("dm", "post", "delivered"): 1,
        ("rejected", "dm", "post", "failed"): 1,
    }


def test_why_it_failed(reader, raise_alerts):
    """The reason is a word of few: what the service said would be a series for each."""
    before = Collected(reader)
    raise_alerts(tocsin_otel, "broken")
    ((key, _),) = grown(before, Collected(reader), "tocsin.deliveries").items()

    assert key == ("out_of_order", "dm", "post", "failed")


def test_names_and_units(reader, raise_alerts):
    """Names, units and attributes are as the semantic conventions want them."""
    raise_alerts(tocsin_otel, "fine", "refused")
    collected = Collected(reader)
    (scope,) = collected.scopes
    duration = collected.metrics["tocsin.delivery.duration"]

    assert {name: metric.unit for name, metric in collected.metrics.items()} == {
        "tocsin.alerts": "{alert}",
        "tocsin.deliveries": "{delivery}",
        "tocsin.delivery.duration": "s",
    }
    assert (scope.name, bool(scope.version)) == ("tocsin_otel", True)
    assert duration.data.data_points[0].explicit_bounds == tocsin_otel.SECONDS
    names = {name for key in collected.points("tocsin.deliveries") for name, _ in key}
    assert names == {
        *("error.type", "tocsin.channel", "tocsin.provider", "tocsin.status"),
    }


def test_every_result_of_a_call():
    """What is counted are the results that there are."""
    assert set(tocsin.AlertCounts.__annotations__) == RESULTS


def test_it_is_installed():
    """`listeners = ["otel"]` finds it."""
    hears = plugins.load_listener("otel").hears

    assert set(hears) == {"tocsin_delivery_settled", "tocsin_alerts_counted"}


_PROVIDER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
reader = PeriodicExportingMetricReader(ConsoleMetricExporter())
metrics.set_meter_provider(MeterProvider([reader]))
"""

_RUN = """
import tocsin
run = tocsin.init(config="tocsin.toml", mode="offline")
run.alert("x")
"""

_SCRIPT = """
import tocsin
tocsin.alert("x")
"""


@pytest.mark.parametrize(
    ("program", "is_counted"),
    [
        (_RUN, False),
        (_PROVIDER + _RUN + "run.finish()", True),
        (_RUN + _PROVIDER + 'run.alert("y")\nrun.finish()', True),
        (_PROVIDER + _RUN, True),
        (_PROVIDER + _SCRIPT, True),
    ],
    ids=["no provider", "early", "late", "no finish", "no init"],
)
def test_a_program(tmp_path, program, is_counted):
    """What is counted is handed over before the provider is shut down, at the exit too."""
    config = 'listeners = ["otel"]\n[user]\nname = "ada"\n'
    (tmp_path / "tocsin.toml").write_text(config)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        env={
            "HOME": str(tmp_path),
            "TOCSIN_CONFIG": str(tmp_path / "tocsin.toml"),
            "TOCSIN_STATE_DIR": str(tmp_path / "state"),
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert ("tocsin.alerts" in done.stdout) == is_counted
    assert "Traceback" not in done.stderr
