"""The fixture `alerts` of pytest; `-p no:tocsin` leaves it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.testing import Alerts


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the name of a configuration, whose routing holds in all tests."""
    parser.addini(
        "tocsin_config",
        "a configuration file of tocsin for the fixture `alerts`, seen from the folder of "
        "this file",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "tocsin(config=None, settings=None, now=None): what tocsin.testing.capture() is "
        "given for the fixture `alerts`",
    )


@pytest.fixture
def alerts(request: pytest.FixtureRequest) -> Iterator[Alerts]:
    """Capture the alerts that the test raises: see `tocsin.testing.capture`."""
    from tocsin.testing import capture

    given: dict[str, Any] = {"config": _config(request.config)}
    marker = request.node.get_closest_marker("tocsin")
    if marker is not None:
        if "settings" in marker.kwargs:
            del given["config"]
        given.update(marker.kwargs)
    with capture(**given) as captured:
        yield captured


def _config(config: pytest.Config) -> Path | None:
    named = str(config.getini("tocsin_config"))
    if not named:
        return None
    folder = config.inipath.parent if config.inipath else config.rootpath
    return folder / Path(named).expanduser()
