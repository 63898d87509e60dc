from __future__ import annotations

import os
import pwd

import pytest

from tocsin import _places as places


@pytest.fixture(autouse=True)
def _forget():
    """What is asked of the system once is asked again in the next test."""
    places.login.cache_clear()
    places.host.cache_clear()
    yield
    places.login.cache_clear()
    places.host.cache_clear()


@pytest.fixture
def _homeless(monkeypatch):
    """Nobody knows this user: no variable, no entry; a container's arbitrary id."""

    def unknown(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for variable in (
        "HOME",
        "LOGNAME",
        "USER",
        "LNAME",
        "USERNAME",
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "TOCSIN_STATE_DIR",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_config_file(home):
    """Without a variable it is the user's own file, when there is one."""
    own = home / "tocsin" / "tocsin.toml"
    before = places.config_file()
    own.parent.mkdir(parents=True)
    own.touch()

    assert before is None
    assert places.config_file() == own


def test_config_file_by_variable(home, tmp_path, monkeypatch):
    """TOCSIN_CONFIG goes first, whether the file is there or not."""
    own = home / "tocsin" / "tocsin.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    monkeypatch.setenv("TOCSIN_CONFIG", "~/gone.toml")

    assert places.config_file() == home / "gone.toml"


def test_working_directory_is_not_searched(tmp_path, monkeypatch):
    """A file that came with a repository is never found by itself."""
    for name in ("tocsin.toml", "tocsin/tocsin.toml", ".config/tocsin/tocsin.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)

    assert places.config_file() is None


@pytest.mark.parametrize("relative", [".", ".config", "a/b"])
def test_relative_base_is_ignored(relative, tmp_path, monkeypatch):
    """An XDG folder must be absolute, else it is ignored (XDG Base Directory, basics)."""
    file = tmp_path / relative / "tocsin" / "tocsin.toml"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", relative)
    monkeypatch.chdir(tmp_path)

    assert places.config_file() is None
    assert places.config_dir().is_absolute()


def test_config_dir_by_default(home, monkeypatch):
    """Without XDG_CONFIG_HOME it is ~/.config; an empty one counts as none."""
    monkeypatch.delenv("XDG_CONFIG_HOME")
    unset = places.config_dir()
    monkeypatch.setenv("XDG_CONFIG_HOME", "")

    assert unset == places.config_dir() == home / ".config" / "tocsin"


def test_state_dir(home, monkeypatch):
    """The argument goes first, then the variable, then the user's own folder."""
    monkeypatch.setenv("TOCSIN_STATE_DIR", "~/by variable")
    by_argument = places.state_dir("~/by argument")
    by_variable = places.state_dir()
    monkeypatch.delenv("TOCSIN_STATE_DIR")
    by_xdg = places.state_dir()
    monkeypatch.delenv("XDG_STATE_HOME")

    assert by_argument == str(home / "by argument")
    assert by_variable == str(home / "by variable")
    assert by_xdg == str(home / "tocsin")
    assert places.state_dir() == str(home / ".local" / "state" / "tocsin")


def test_state_dir_is_absolute(tmp_path, monkeypatch):
    """A program that changes its working directory keeps its store."""
    monkeypatch.chdir(tmp_path)

    assert places.state_dir("state") == str(tmp_path / "state")


def test_memory(monkeypatch):
    """:memory: is no folder, wherever it is said."""
    by_argument = places.state_dir(":memory:")
    monkeypatch.setenv("TOCSIN_STATE_DIR", ":memory:")

    assert by_argument == places.state_dir() == places.MEMORY


def test_login(monkeypatch):
    """The login name is the system's, and asked for once."""
    monkeypatch.setenv("LOGNAME", "ada")
    first = places.login()
    monkeypatch.setenv("LOGNAME", "grace")

    assert (first, places.login()) == ("ada", "ada")


@pytest.mark.usefixtures("_homeless")
def test_nobody():
    """A user without a name is unknown, and that is no error."""
    assert places.login() == "unknown"


@pytest.mark.usefixtures("_homeless")
def test_nowhere():
    """A user without a home has no configuration, and a place for the state all the same."""
    assert places.config_file() is None
    state_dir = places.state_dir()
    assert state_dir == places.MEMORY or os.path.isabs(state_dir)  # noqa: PTH117 - a str


def test_unknown_users_home(monkeypatch):
    """A path into the home of someone who is not there is a path that is not there."""
    monkeypatch.setenv("TOCSIN_CONFIG", "~nosuchuser/tocsin.toml")

    assert not places.config_file().exists()
    assert places.state_dir("~nosuchuser/state")


def test_host():
    """A machine has a name."""
    assert places.host()
