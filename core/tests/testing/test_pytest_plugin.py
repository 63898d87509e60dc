"""The plugin of pytest, in runs of pytest of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

TEST = """
import tocsin

def test_it(alerts):
    tocsin.alert("Loss is NaN")
    alerts.assert_sent("Loss is NaN", times=1)
"""


@pytest.fixture(autouse=True)
def quiet(pytester):
    """Warnings are errors in the runs of pytest, too."""
    pytester.makeini("[pytest]\naddopts = -W error --strict-markers\n")


def test_the_fixture(pytester):
    """It is there without a line of configuration, and each test has its own."""
    pytester.makepyfile(TEST + TEST.replace("test_it", "test_again"))

    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_what_a_failed_assertion_says(pytester):
    """It ends at the test's own line, with what was sent."""
    pytester.makepyfile(
        """
        import tocsin

        def test_it(alerts):
            tocsin.alert("Loss is NaN", level="WARN")
            alerts.assert_sent("Loss is NaN", level="ERROR")
        """
    )

    done = pytester.runpytest_subprocess()

    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            ">       alerts.assert_sent(*",
            "E       AssertionError: an alert 'Loss is NaN' of level 'ERROR' was not sent",
            "E       sent:",
            "E         * Loss is NaN -> alerts   <- nearly: level 'WARN'",
        ]
    )
    done.stdout.no_fnmatch_line("*_alerts.py*")


def test_plain_asserts_show_what_there_is(pytester):
    pytester.makepyfile(
        """
        import tocsin

        def test_it(alerts):
            tocsin.alert("Disk full")
            assert len(alerts) == 2
        """
    )

    done = pytester.runpytest_subprocess()

    done.stdout.fnmatch_lines(["*len(<Alerts [[]INFO[]] Disk full -> alerts>)"])


def test_a_configuration_for_all_tests(pytester):
    """`tocsin_config` is a file beside the configuration of pytest."""
    folder = pytester.mkdir("tests")
    (folder / "tocsin.toml").write_text(
        '[user]\nchannels = ["ops"]\n[channels.ops]\nprovider = "slack"\n'
        'token = { env = "NOT_THERE" }\nchannel = "C0OPS"\n'
    )
    pytester.makeini("[pytest]\ntocsin_config = tests/tocsin.toml\n")
    (folder / "test_it.py").write_text(
        "import tocsin\n\n"
        "def test_it(alerts):\n"
        "    tocsin.alert('x')\n"
        "    alerts.assert_sent('x', to='ops')\n"
    )

    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_marker_for_one_test(pytester):
    pytester.makepyfile(
        """
        from datetime import datetime, UTC

        import pytest
        import tocsin

        NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)

        @pytest.mark.tocsin(now=NOON)
        def test_now(alerts):
            tocsin.alert("x")
            assert alerts[0].alert.created_at == NOON

        @pytest.mark.tocsin(config="missing.toml")
        def test_config(alerts):
            pass
        """
    )

    done = pytester.runpytest_subprocess()

    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*ConfigError*missing.toml*"])


def test_without_the_plugin(pytester):
    pytester.makepyfile(TEST)

    done = pytester.runpytest_subprocess("-p", "no:tocsin")

    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["E*fixture 'alerts' not found"])


def test_the_plugin_is_cheap(pytester):
    """A suite that does not use the fixture pays for none of what it needs."""
    pytester.makepyfile(
        """
        import sys

        def test_it():
            ours = {name for name in sys.modules if name.startswith("tocsin")}
            assert ours <= {"tocsin", "tocsin.testing", "tocsin.testing.pytest_plugin"}
            assert not {"attrs", "jinja2", "cattrs", "sqlite3"} & set(sys.modules)
        """
    )

    done = pytester.runpytest_subprocess()

    done.assert_outcomes(passed=1)


def test_a_program_that_imports_tocsin_first(pytester):
    """pytest does not warn that it came too late to rewrite asserts."""
    pytester.makepyfile(TEST)
    code = "import tocsin, pytest, sys; sys.exit(pytest.main(['-q']))"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=pytester.path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("xdist") is None, reason="pytest-xdist is missing"
)
def test_many_at_once(pytester):
    """Each worker of xdist is a process of its own: what one captures is its own."""
    pytester.makepyfile(
        """
        import pytest
        import tocsin

        @pytest.mark.parametrize("number", range(20))
        def test_it(alerts, number):
            tocsin.init(project="mnist", id="r1")
            tocsin.alert("Loss is NaN", str(number))
            alerts.assert_sent("Loss is NaN", text=str(number), times=1)
            alerts.assert_count(1)
        """
    )

    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=20)


def test_unittest(tmp_path):
    """Any framework will do: `capture` is a context."""
    (tmp_path / "test_it.py").write_text(
        """
import unittest

import tocsin
from tocsin.testing import capture


class TestAlerts(unittest.TestCase):
    def setUp(self):
        self.alerts = self.enterContext(capture())

    def test_it(self):
        tocsin.alert("Loss is NaN")
        self.alerts.assert_sent("Loss is NaN")
        self.assertEqual(self.alerts.titles, ["Loss is NaN"])

    def test_nothing(self):
        self.alerts.assert_none()
"""
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "unittest", "-v"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_the_facade():
    """Each name is imported when it is first asked for, and an unknown one is named."""
    code = (
        "import sys, tocsin.testing as t; assert 'tocsin._notifier' not in sys.modules;"
        "assert all(hasattr(t, name) for name in t.__all__);"
        "assert sorted(t.__all__) == t.__all__ == sorted(t._HOMES);"
        "assert set(t.__all__) <= set(dir(t)); import tocsin; tocsin.testing;"
        "t.captur"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    said = "AttributeError: module 'tocsin.testing' has no attribute 'captur'"
    assert said in done.stderr
