"""A provider of somebody else's, which nothing here knows: examples/third_party."""

from __future__ import annotations

import os
import subprocess

import pytest
from docs_support import blocks
from support import PACKAGES, ROOT, uv

from tocsin.testing import HttpDouble, Reply

FOLDER = ROOT / "examples" / "third_party" / "tocsin-gotify"
RAISE = """
import tocsin
with tocsin.init(project="owls") as run:
    (delivery,) = run.alert("Loss is NaN", "at step 12,400", level="ERROR").wait(20)
    print(delivery.status.value, delivery.receipt.reference)
"""


@pytest.fixture(scope="module")
def installed(fresh_environment, wheels):
    """An environment with core, and the provider as a wheel."""
    uv("build", "--quiet", "--wheel", "--out-dir", wheels.parent / "other", FOLDER)
    (wheel,) = (wheels.parent / "other").glob("*.whl")
    return fresh_environment(
        f"tocsin-gotify[testing] @ {wheel.as_uri()}", "tocsin[cli]"
    )


def run(interpreter, *words, **environment):
    done = subprocess.run(
        [interpreter, "-W", "error", *words],
        env={"PATH": os.environ["PATH"], **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_outside():
    """It is no package of this repository's, and no version is held together with it."""
    assert FOLDER not in PACKAGES
    assert "tocsin[http]>=0.1,<0.2" in (FOLDER / "pyproject.toml").read_text()


def test_it_is_what_the_page_shows():
    """The page's class is the example's, to the letter."""
    (shown,) = [
        block.text
        for block in blocks("extend/provider.md")
        if block.file.endswith("tocsin_gotify/__init__.py")
    ]

    code = (FOLDER / "src" / "tocsin_gotify" / "__init__.py").read_text()
    assert shown.partition("\n")[2] == code


@pytest.mark.slow
def test_it_delivers(installed, tmp_path):
    """From its wheel, chosen by a configuration."""
    (tmp_path / "tocsin.toml").write_text('[user]\nchannels = ["phone"]\n')
    with HttpDouble(lambda _: Reply(json={"id": 25, "version": "2.6.1"})) as server:
        with (tmp_path / "tocsin.toml").open("a") as file:
            file.write(
                f'[channels.phone]\nprovider = "gotify"\nurl = "{server.url}"\n'
                'token = { env = "GOTIFY_TOKEN" }\n'
            )
        places = {
            "HOME": str(tmp_path),
            "TOCSIN_CONFIG": str(tmp_path / "tocsin.toml"),
            "TOCSIN_STATE_DIR": str(tmp_path / "state"),
            "GOTIFY_TOKEN": "A-canary-1",
        }
        printed = run(installed, "-c", RAISE, **places)
        doctor = run(installed, "-m", "tocsin", "doctor", **places)

    sent = server.requests[0]
    assert printed.strip() == "delivered 25"
    assert (sent.method, sent.path) == ("POST", "/message")
    assert sent.headers["x-gotify-key"] == "A-canary-1"
    assert sent.json()["title"] == "Loss is NaN"
    assert "at step 12,400" in sent.json()["message"]
    assert "Gotify 2.6.1 answers" in doctor
    assert "A-canary-1" not in printed + doctor


@pytest.mark.slow
def test_its_tests_pass(installed):
    """Those that it ships, against its wheel and ours."""
    output = run(
        *(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *("--rootdir", str(FOLDER), str(FOLDER / "tests")),
    )

    assert " passed" in output
