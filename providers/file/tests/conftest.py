from datetime import UTC, datetime

import pytest

from tocsin import Alert, Delivery
from tocsin._rendering import Circumstances, render
from tocsin_file import File

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.jsonl"


@pytest.fixture
def provider(path):
    return File(path=str(path))


@pytest.fixture
def message():
    """Render an alert as core does."""

    def message(title="Loss is NaN", *details, suppressed=0, **more):
        alert = Alert(title, *details, **{"created_at": NOW, **more})
        return render(File, alert, Circumstances(now=NOW, suppressed=suppressed))

    return message


@pytest.fixture
def delivery():
    def delivery(number="d1", **more):
        return Delivery(**{"id": number, "channel": "file", "timeout": 10, **more})

    return delivery
