"""An interpreter that ends right after the call."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import interpreters

RUNS = 100


@pytest.fixture(scope="module", params=interpreters())
def interpreter(request, fresh_environment):
    return fresh_environment("tocsin[cli]", python=request.param)


@pytest.mark.slow
def test_exit_right_after_the_call(place, interpreter):
    """100 of 100 alerts are delivered or kept, and those that are kept arrive."""

    def alert(number: int) -> None:
        place.run(f"import tocsin; tocsin.alert('x {number}')", interpreter=interpreter)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(alert, range(RUNS)))
    delivered = len(place.delivered())
    subprocess.run(
        [interpreter, "-m", "tocsin", "drain"],
        env=place.environment,
        cwd=place.path,
        check=True,
        capture_output=True,
    )

    titles = {str(line["title"]) for line in place.delivered()}
    assert titles == {f"x {number}" for number in range(RUNS)}
    assert delivered > 0
