from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin import (
    AlertLevel,
    Channel,
    ConfigError,
    FromEnv,
    FromFile,
    Origin,
    Problem,
    Provider,
    Scope,
    Secret,
    Settings,
    Subscription,
)
from tocsin import _plugins as plugins
from tocsin._config import load
from tocsin._quiet import QuietHours
from tocsin._settings import nearest

DM = """
[channels.dm]
provider = "slack"
token = "xoxb-canary"
channel = "U1234ABCD"
"""

EXAMPLE = """
include = ["vision.toml"]

[user]
name = "ada"
channels = ["dm", "inbox"]
kinds = ["scriptable", "finished", "crashed"]

[[user.subscriptions]]
channels = ["phone"]
min_level = "ERROR"
projects = ["prod-*"]

[channels.dm]
provider = "slack"
token = { env = "SLACK_BOT_TOKEN" }
channel = "U1234ABCD"

[channels.inbox]
provider = "slack"
token = { file = "secrets/inbox" }
channel = "C1"

[channels.phone]
provider = "slack"
webhook_url = { env = "PHONE_WEBHOOK" }
"""

VISION = """
[teams.vision]
members = ["ada", "grace"]
channels = ["vision"]
min_level = "WARN"

[channels.vision]
provider = "slack"
token = { file = "secrets/vision" }
channel = "C2"
"""


@pytest.fixture
def write(tmp_path):
    """Return what writes a configuration that nobody else can write."""

    def write(text, name="tocsin.toml"):
        file = tmp_path / name
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
        return file

    return write


@pytest.fixture
def mistakes(write):
    """Return what writes a configuration and tells its mistakes: key, then message."""

    def mistakes(text):
        file = write(text)
        with pytest.raises(ConfigError) as caught:
            load(file)
        assert {problem.file for problem in caught.value.problems} == {str(file)}
        return {problem.key: problem.message for problem in caught.value.problems}

    return mistakes


def test_example(write, tmp_path):
    """The example of the design loads, each name where it belongs."""
    write(VISION, "vision.toml")
    file = write(EXAMPLE)
    settings = load(file)

    assert settings.user == "ada"
    assert settings.source == str(file)
    assert settings.teams == {"vision": frozenset({"ada", "grace"})}
    assert list(settings.channels) == ["dm", "inbox", "phone", "vision"]
    assert settings.subscriptions == (
        Subscription(
            owner="ada",
            channels=("dm", "inbox"),
            kinds=("scriptable", "finished", "crashed"),
        ),
        Subscription(
            owner="ada",
            channels=("phone",),
            min_level=AlertLevel.ERROR,
            projects=("prod-*",),
        ),
        Subscription(
            scope=Scope.TEAM,
            owner="vision",
            channels=("vision",),
            min_level=AlertLevel.WARN,
        ),
    )


def test_channel(write):
    """A channel is its name and its provider, with the settings in their own types."""
    channel = load(write(DM)).channels["dm"]

    assert (channel.name, channel.problem) == ("dm", "")
    assert type(channel.provider) is plugins.load("slack")
    assert channel.provider.token == Secret("xoxb-canary")
    assert channel.provider.channel == "U1234ABCD"
    assert channel.provider.broadcast is False


def test_secrets_are_references(write, tmp_path):
    """A secret is resolved at delivery; a file is relative to the file that names it."""
    write(VISION, "team/vision.toml")
    file = write(EXAMPLE.replace("vision.toml", "team/vision.toml"))
    channels = load(file).channels

    assert channels["dm"].provider.token == Secret(FromEnv("SLACK_BOT_TOKEN"))
    assert channels["inbox"].provider.token == Secret(
        FromFile(str(tmp_path / "secrets" / "inbox"))
    )
    assert channels["vision"].provider.token == Secret(
        FromFile(str(tmp_path / "team" / "secrets" / "vision"))
    )


def test_secret_in_the_home(write, home):
    """A secret's file may be said from ~; of somebody who is not there, it is not there."""
    text = DM.replace('"xoxb-canary"', '{ file = "~/token" }')
    token = load(write(text)).channels["dm"].provider.token
    stranger = load(write(text.replace("~", "~nosuchuser"))).channels["dm"]

    assert token.reference == FromFile(str(home / "token"))
    assert stranger.provider.token.reference.path.endswith("~nosuchuser/token")


def test_no_file():
    """With no file at all there are no channels, and that is no mistake."""
    assert load() == Settings()


def test_empty_file(write, monkeypatch):
    """An empty file says no more than none, but where it is."""
    file = write("")
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    settings = load()

    assert settings.source == str(file)
    assert (settings.channels, settings.teams, settings.subscriptions) == ({}, {}, ())
    assert settings.user


def test_linked_file(write, tmp_path):
    """A configuration is known by its real path, whatever link leads to it."""
    file = write(DM, "real/tocsin.toml")
    (tmp_path / "link.toml").symlink_to(file)

    assert load(tmp_path / "link.toml").source == str(file)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("0.5", 0.5),
        ("0", 0),
        ('"30s"', 30),
        ('"30 s"', 30),
        ('"500ms"', 0.5),
        ('"10m"', 600),
        ('"1.5h"', 5400),
        ('"30d"', 2_592_000),
    ],
)
@pytest.mark.parametrize("key", ["submit_timeout", "give_up_after", "retention"])
def test_durations(write, key, text, seconds):
    """A time is seconds, or a number with its unit."""
    assert getattr(load(write(f"{key} = {text}")), key) == seconds


@pytest.mark.parametrize(
    "text",
    [
        '"30"',
        '"5 minutes"',
        '"-5s"',
        '""',
        "-1",
        "inf",
        "nan",
        "true",
        "[30]",
        "{ s = 30 }",
        "2027-01-15",
        "9" * 400,
        '"999999999999s"',
        '"1h30m"',
        '"\u0663s"',
    ],
)
def test_durations_that_are_none(mistakes, text):
    """Anything else is a mistake that says what a time looks like."""
    assert mistakes(f"timeout = {text}") == {
        "timeout": 'must be seconds, or a string such as "30s", "10m", "24h", "30d"'
    }


def test_state_dir(write, tmp_path, home):
    """A folder for the state is relative to the file; ~ is the home; :memory: is none."""
    assert load(write('state_dir = "state"')).state_dir == str(tmp_path / "state")
    assert load(write('state_dir = "/var/x"')).state_dir == "/var/x"
    assert load(write('state_dir = "~/x"')).state_dir == str(home / "x")
    assert load(write('state_dir = ":memory:"')).state_dir == ":memory:"
    assert load(write("")).state_dir == ""


@pytest.mark.parametrize(
    "text", ['"~nosuchuser/x"', r'"a\u0000b"', "5", '["a"]'], ids=ascii
)
def test_state_dir_that_is_none(mistakes, text):
    """A folder that there cannot be is a mistake now, not at the first alert."""
    assert list(mistakes(f"state_dir = {text}")) == ["state_dir"]


def test_templates(write, tmp_path):
    """The folder `templates` beside the file holds the operator's templates."""
    file = write("")
    without = load(file).templates
    (tmp_path / "templates").mkdir()

    assert without == ""
    assert load(file).templates == str(tmp_path / "templates")


def test_user_by_default(write, monkeypatch):
    """Without a name the user is whoever is logged in."""
    from tocsin import _places as places

    text = f'{DM}[user]\nchannels = ["dm"]'
    settings = load(write(text))

    assert settings.user == places.login()
    assert settings.subscriptions[0].owner == places.login()


def test_every_mistake_at_once(write, tmp_path):
    """All mistakes are told, those of included files too, each with its file and key."""
    included = write(
        """
        timeout = 5
        [teams.vision]
        members = [1]
        chanels = ["dm"]
        [channels.team]
        provider = "slack"
        tokn = "x"
        """,
        "team.toml",
    )
    main = write(
        """
        include = ["team.toml", "gone.toml"]
        timout = 5
        retention = "long"
        [user]
        channels = ["dmm", "dm"]
        [[user.subscriptions]]
        channels = ["dm"]
        min_level = "EROR"
        [[user.subscriptions]]
        channel = "dm"
        [channels.dm]
        provider = "slak"
        [channels."with space"]
        provider = "slack"
        [channels.none]
        """
    )
    with pytest.raises(ConfigError) as caught:
        load(main)

    told = {(p.file, p.key) for p in caught.value.problems}
    assert told >= {
        (str(included), "timeout"),
        (str(included), "teams.vision.members"),
        (str(included), "teams.vision.chanels"),
        (str(included), "channels.team.tokn"),
        (str(main), "timout"),
        (str(main), "retention"),
        (str(main), "user.channels"),
        (str(main), "user.subscriptions[0].min_level"),
        (str(main), "user.subscriptions[1].channel"),
        (str(main), "channels.dm.provider"),
        (str(main), "channels.with space"),
        (str(main), "channels.none.provider"),
        (str(tmp_path / "gone.toml"), ""),
    }
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{len(lines) - 1} mistakes in the configuration:"
    assert (
        f"  {main}: timout: there is no such setting: did you mean 'timeout'?" in lines
    )


def test_no_mistake_of_a_mistake(mistakes):
    """One mistake in a table makes no other: what is there is not told to be missing."""
    told = mistakes(f'{DM}[user]\nchannels = ["dm"]\nmin_level = "EROR"')

    assert told == {"user.min_level": "'EROR' is no level: did you mean 'ERROR'?"}


def test_no_mistake_hides_another(mistakes):
    """Next to a mistake in a table, the others in it are told too."""
    told = mistakes(f'{DM}[user]\nchannels = ["gone"]\nmin_level = "EROR"')

    assert "no channel 'gone'" in told["user.channels"]
    assert "user.min_level" in told


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("timout = 5", "timout", "did you mean 'timeout'?"),
        ("[chanels.dm]", "chanels", "did you mean 'channels'?"),
        ("[channel.dm]", "channel", "did you mean 'channels'?"),
        ("[team.vision]", "team", "did you mean 'teams'?"),
        ('includes = ["a"]', "includes", "did you mean 'include'?"),
        ("[users]", "users", "did you mean 'user'?"),
        (
            f'{DM.replace("dm", "inbox")}[user]\nchannels = ["inbx"]',
            "user.channels",
            "did you mean 'inbox'?",
        ),
        (f"{DM}tokn = 'x'", "channels.dm.tokn", "did you mean 'token'?"),
        (
            "[channels.a]\nprovider = 'slak'",
            "channels.a.provider",
            "did you mean 'slack'?",
        ),
        (
            "[channels.a]\nprovider = 'carrierpigeon'",
            "channels.a.provider",
            "pip install tocsin-carrierpigeon",
        ),
        ("[user]\nmin_level = 'WRN'", "user.min_level", "did you mean 'WARN'?"),
    ],
)
def test_nearest_name(mistakes, text, key, message):
    """A name that is nearly right comes with the right one."""
    assert message in mistakes(text)[key]


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("channels = []", "channels", "must be a table: [channels.NAME]"),
        ("teams = 5", "teams", "must be a table: [teams.NAME]"),
        ("user = 'ada'", "user", "must be a table: [user]"),
        ("[channels]\ndm = 5", "channels.dm", "must be a table: [channels.dm]"),
        ("[channels.dm]", "channels.dm.provider", 'is missing: write provider = "…"'),
        ("[channels.dm]\nprovider = 5", "channels.dm.provider", "string"),
        (
            f"{DM}broadcast = 'yes'",
            "channels.dm.broadcast",
            "must be true or false, not str",
        ),
        (
            f"{DM}broadcast = 1",
            "channels.dm.broadcast",
            "must be true or false, not int",
        ),
        (f"{DM}base_url = 5", "channels.dm.base_url", "must be a string, not int"),
        (DM.replace('"xoxb-canary"', "5"), "channels.dm.token", "must be { env ="),
        (
            DM.replace('"xoxb-canary"', "{ evn = 'A' }"),
            "channels.dm.token",
            "must be { env =",
        ),
        (
            DM.replace('"xoxb-canary"', "{ env = '' }"),
            "channels.dm.token",
            "must be { env =",
        ),
        (
            DM.replace('"xoxb-canary"', "{ env = 'A', file = 'b' }"),
            "channels.dm.token",
            "must be { env =",
        ),
        ("[user]\nkinds = ['*']", "user.channels", "is missing"),
        ("[user]\nchannels = []", "user.channels", "is missing"),
        ("[user]\nchannels = 5", "user.channels", "must be a list of strings, not int"),
        ("[user]\nname = 5", "user.name", "must be a string, not int"),
        ("[teams.v]\nmembers = [1]", "teams.v.members", "must be a list of strings"),
        ("[teams.'a b']", "teams.a b", "a name is made of up to 64 ASCII letters"),
        (
            f"[channels.{'x' * 65}]",
            f"channels.{'x' * 65}",
            "a name is made of up to 64",
        ),
        ("include = 5", "include", "must be a list of files"),
        ("include = [5]", "include", "must be a list of files"),
    ],
)
def test_mistake(mistakes, text, key, message):
    """A value of a wrong type is a mistake that says what is right."""
    told = mistakes(text)

    assert list(told) == [key]
    assert message in told[key]


@pytest.mark.parametrize(
    "text",
    [
        "[user.subscriptions]\nchannels = ['dm']\nmin_level = 'ERROR'",
        "[user]\nsubscriptions = 'dm'",
        "[user]\nsubscriptions = ['dm']",
        "[user]\nsubscriptions = [5]",
        "[user]\nsubscriptions = 5",
        "[user]\nsubscriptions = ''",
        "[user]\nsubscriptions = {}",
    ],
)
def test_subscriptions_that_are_none(mistakes, text):
    """[user.subscriptions] in single brackets is an easy mistake: it says to double them."""
    told = mistakes(DM + text)

    assert all(key.startswith("user.subscriptions") for key in told)
    assert "[[" in " ".join(told.values())


def test_no_value_of_a_secret_is_told(write):
    """A mistake beside a secret does not tell the secret."""
    file = write(f"{DM}webhook_url = 'https://hooks.example/canary'\nchanel = 'x'")
    with pytest.raises(ConfigError) as caught:
        load(file)

    assert "canary" not in str(caught.value)


def test_settings_that_contradict_one_another(mistakes):
    """What a provider refuses as a whole is told of its table."""
    told = mistakes("[channels.dm]\nprovider = 'slack'\ntoken = 'x'")

    assert "token needs channel" in told["channels.dm"]


BROKEN = """
[channels.dm]
provider = "broken"
[user]
channels = ["dm"]
"""


@pytest.fixture
def _broken_plugin(tmp_path, monkeypatch):
    info = tmp_path / "site" / "tocsin_broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tocsin-broken\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text("[tocsin]\nbroken = no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()


@pytest.mark.usefixtures("_broken_plugin")
def test_broken_plugin(write):
    """A broken plugin puts its channel out of order, says why, and spares the others."""
    settings = load(write(BROKEN + DM.replace("dm", "good")))

    assert settings.channels["dm"].provider is None
    assert "'broken' of tocsin-broken 1.0 is broken" in settings.channels["dm"].problem
    assert settings.channels["good"].provider is not None
    assert [wish.channels for wish in settings.subscriptions] == [("dm",)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a = ", "it is not TOML"),
        (b"[a]\n[a]", "it is not TOML"),
        (b"\xff\xfe", "it is not TOML"),
        (b"a = 1\0", "it is not TOML"),
        (b"a = " + b"[" * 100_000, "it is not TOML"),
        (b"a = " + b"9" * 5000, "it cannot be read"),
    ],
    ids=["no value", "twice", "not UTF-8", "NUL", "deep", "long number"],
)
def test_no_toml(tmp_path, content, why):
    """A file that is no TOML is one mistake, with the file."""
    file = tmp_path / "tocsin.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(file)

    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == (str(file), "")
    assert why in problem.message


@pytest.mark.parametrize(
    "name", ["gone.toml", "", "loop", "a\0b", "~nosuchuser/a", "x" * 999]
)
def test_unreadable(tmp_path, name, monkeypatch):
    """A file that cannot be read is one mistake: gone, a folder, a loop, no path at all."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError) as caught:
        load(name)

    (problem,) = caught.value.problems
    assert "cannot be read" in problem.message


@pytest.mark.parametrize(
    "name", ["gone.toml", ".", "loop", r"a\u0000b", "~nosuchuser/a"]
)
def test_include_that_is_unreadable(mistakes, write, tmp_path, name):
    """An included file that cannot be read is a mistake, and no other error."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    file = write(f'include = "{name}"')
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file)


def test_include_is_relative_to_its_file(write):
    """An included file may include others, each relative to where it is named."""
    write("[teams.c]", "a/b/c.toml")
    write("include = 'b/c.toml'\n[teams.b]", "a/b.toml")
    file = write("include = ['a/b.toml']\n[teams.a]")

    assert set(load(file).teams) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "files",
    [
        {"tocsin.toml": "include = 'tocsin.toml'"},
        {"tocsin.toml": "include = 'a.toml'", "a.toml": "include = 'tocsin.toml'"},
        {"tocsin.toml": "include = ['a.toml', './a.toml']", "a.toml": ""},
        {
            "tocsin.toml": "include = ['a.toml', 'b.toml']",
            "a.toml": "include = 'b.toml'",
            "b.toml": "",
        },
    ],
    ids=["itself", "each other", "twice", "diamond"],
)
def test_include_twice(write, files):
    """A file is included once: a cycle ends, and is told."""
    for name, text in files.items():
        file = write(text, name)
    with pytest.raises(ConfigError, match="is included twice, or by itself"):
        load(file.parent / "tocsin.toml")


@pytest.mark.parametrize(
    ("table", "key"),
    [
        (DM, "channels.dm"),
        ("[teams.vision]", "teams.vision"),
        ("[user]\nname = 'a'", "user"),
    ],
    ids=["channel", "team", "user"],
)
def test_defined_twice(write, table, key):
    """A name that two files define is a mistake that names both."""
    other = write(table, "other.toml")
    main = write(f"include = 'other.toml'\n{table}")
    with pytest.raises(ConfigError) as caught:
        load(main)

    assert [problem.key for problem in caught.value.problems] == [key]
    assert str(other) in str(caught.value)
    assert str(main) in str(caught.value)


@pytest.mark.parametrize("which", ["tocsin.toml", "team/vision.toml", "team"])
def test_writable_by_strangers(write, tmp_path, which):
    """A file that everybody can write, or replace in its folder, is refused."""
    write("[teams.vision]", "team/vision.toml")
    file = write("include = 'team/vision.toml'")
    (tmp_path / which).chmod((tmp_path / which).stat().st_mode | 0o002)
    with pytest.raises(ConfigError, match="everybody can write") as caught:
        load(file)

    (problem,) = caught.value.problems
    assert problem.file.startswith(str(tmp_path / which))


def test_writable_folder_with_the_sticky_bit(write, tmp_path):
    """In a folder like /tmp nobody can replace another's file."""
    file = write("", "shared/tocsin.toml")
    (tmp_path / "shared").chmod(0o1777)

    assert load(file).source == str(file)


def test_settings_that_do_not_fit():
    """Settings made in code refuse what a file may not say either."""
    with pytest.raises(ConfigError) as caught:
        Settings(
            user="ada",
            channels={"inbox": Provider()},
            subscriptions=[
                Subscription(channels="inbx"),
                Subscription(channels="inbox", scope=Scope.TEAM, owner="vison"),
            ],
            teams={"vision": frozenset()},
        )

    assert caught.value.problems == (
        Problem("", "user ada", "no channel 'inbx': did you mean 'inbox'?"),
        Problem("", "team vison", "no team 'vison': did you mean 'vision'?"),
    )


def test_settings_in_code():
    """In code channels are a mapping or a list, and a wish is the user's own."""
    settings = Settings(
        user="ada",
        channels={"dm": Provider()},
        subscriptions=[Subscription(channels="dm")],
    )

    assert settings.channels == {"dm": Channel("dm", Provider())}
    assert settings.subscriptions == (Subscription(channels="dm", owner="ada"),)
    assert Settings(channels=[Channel("dm", None)]).channels["dm"].provider is None


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        (Origin(user="ada"), ""),
        (Origin(user="ada", team="vision"), ""),
        (Origin(user="eve", team="open"), ""),
        (Origin(user="eve"), ""),
        (Origin(user="eve", team="vision"), "'eve' is not a member"),
        (Origin(user="ada", team="vison"), "no team 'vison': did you mean 'vision'?"),
    ],
    ids=str,
)
def test_members(origin, message):
    """A team's alerts are raised by its members; with none listed, by anyone."""
    teams = {"vision": frozenset({"ada"}), "open": frozenset()}
    given = Settings(teams=teams)

    if not message:
        given.check(origin)
    else:
        with pytest.raises(ConfigError, match=message.partition("?")[0]):
            given.check(origin)


def test_team_without_a_configuration():
    """Whoever has configured nothing may name any team: nothing is sent anyway."""
    Settings().check(Origin(user="ada", team="vision"))


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("tokn", ["token", "channel"], "did you mean 'token'?"),
        ("zzz", ["b", "a"], "there is 'a', 'b'"),
        ("zzz", [], "there is none"),
    ],
)
def test_nearest(name, known, hint):
    """The nearest name, or else what there is."""
    assert nearest(name, known) == hint


NAMES = [
    "include",
    "user",
    "teams",
    "channels",
    "state_dir",
    "timeout",
    "retention",
    "name",
    "members",
    "kinds",
    "min_level",
    "projects",
    "tags",
    "subscriptions",
    "provider",
    "token",
    "channel",
    "broadcast",
    "env",
    "file",
    "dm",
]
WORDS = [
    "dm",
    "slack",
    "email",
    "slak",
    "ERROR",
    "30s",
    "~nosuchuser/x",
    "a.toml",
    "",
    "\0",
]

toml_text = st.text(st.characters(codec="utf-8"), max_size=8)
names = st.sampled_from(NAMES) | toml_text
scalars = (
    st.sampled_from(WORDS)
    | toml_text
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([date(2027, 1, 15), time(8), datetime(2027, 1, 15, tzinfo=UTC)])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=12,
)
wishes = st.dictionaries(st.sampled_from(NAMES[6:14]), values, max_size=4)
tables = st.fixed_dictionaries(
    {},
    optional={
        "user": wishes | values,
        "teams": st.dictionaries(names, wishes | values, max_size=2),
        "channels": st.dictionaries(
            names,
            st.dictionaries(st.sampled_from(NAMES[14:20]), values, max_size=4),
            max_size=2,
        ),
        "include": values,
        "state_dir": values,
        "timeout": values,
    },
)


def dumped(value):
    """Return a value as TOML on one line."""
    if isinstance(value, dict):
        pairs = [f"{dumped(name)} = {dumped(item)}" for name, item in value.items()]
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(dumped, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def load_or_refuse(file, content):
    """Load it: it becomes settings, or a list of mistakes, and nothing else."""
    file.write_bytes(content)
    try:
        return load(file)
    except ConfigError as error:
        refused = error
    assert refused.problems
    assert all(problem.message for problem in refused.problems)
    return None


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "tocsin.toml"


@settings(deadline=None, max_examples=150)
@given(table=st.dictionaries(names, values, max_size=4) | tables)
def test_any_table(scratch, table):
    """Whatever tables it holds, a file becomes settings or a list of mistakes."""
    lines = [f"{dumped(name)} = {dumped(value)}\n" for name, value in table.items()]
    result = load_or_refuse(scratch, "".join(lines).encode())

    assert result is None or result.source == str(scratch)


@settings(deadline=None)
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes(scratch, content):
    """Whatever bytes it holds, too."""
    result = load_or_refuse(scratch, content)

    assert result is None or result.source == str(scratch)


def test_the_dumper(scratch):
    """The properties above are not about broken TOML: what is valid loads."""
    table = {
        "user": {"name": '"\\\n\t\x7f\u2028é', "channels": ["dm"]},
        "timeout": 1e6,
    }
    channels = {"dm": {"provider": "slack", "token": {"env": "A"}, "channel": "C1"}}
    table["channels"] = channels
    lines = [f"{dumped(name)} = {dumped(value)}\n" for name, value in table.items()]
    result = load_or_refuse(scratch, "".join(lines).encode())

    assert result.user == table["user"]["name"]


def test_a_choice(mistakes):
    """A setting that takes one of a few words says which."""
    table = 'to = "a@example.org"\nsender = "b@example.org"\nhost = "localhost"'
    told = mistakes(f"[channels.inbox]\nprovider = 'email'\n{table}\ntls = 'implict'")

    assert told == {
        "channels.inbox.tls": "'implict' is not possible: did you mean 'implicit'?"
    }


def test_working_directory_does_not_matter(write, monkeypatch):
    """A relative path is that of the moment; what it names is then absolute."""
    file = write('state_dir = "state"')
    monkeypatch.chdir(file.parent)
    settings = load(Path("tocsin.toml"))

    assert settings.source == str(file)
    assert os.path.isabs(settings.state_dir)  # noqa: PTH117 - a str


QUIET = """
[user]
channels = ["dm"]
quiet_hours = ["22:00-07:00", "12:00-13:00"]
time_zone = "UTC"
quiet_max_level = "ERROR"
digest = "15m"
"""


def test_quiet_hours_and_digest(write):
    """A subscription says when it holds alerts, and for how long it gathers them."""
    (wish,) = load(write(QUIET + DM)).subscriptions

    hours = QuietHours(["22:00-07:00", "12:00-13:00"], time_zone="UTC")
    assert wish.quiet_hours == hours
    assert wish.quiet_max_level is AlertLevel.ERROR
    assert wish.digest == 900


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("22:00-07:00", "22-7", "no interval of the day"),
        ("22:00-07:00", "13:00-12:00", "take up the whole day"),
        ("UTC", "Mars/Olympus", "no time zone 'Mars/Olympus'"),
    ],
)
def test_quiet_hours_that_are_none(mistakes, right, wrong, told):
    """Hours that nobody can read are told with their place."""
    (message,) = mistakes(QUIET.replace(right, wrong) + DM).values()

    assert told in message


TWO = DM + DM.replace("dm", "inbox")


def test_fallback(write):
    """A channel names the one that stands in for it, and after how long."""
    stands_in = 'provider = "slack"\nfallback = "inbox"\nfallback_after = "2m"'
    settings = load(write(TWO.replace('provider = "slack"', stands_in, 1)))

    dm, inbox = settings.channels["dm"], settings.channels["inbox"]
    assert (dm.fallback, dm.fallback_after) == ("inbox", 120)
    assert (inbox.fallback, inbox.fallback_after) == ("", 600)


@pytest.mark.parametrize(
    ("fallback", "message"),
    [
        ("dm", "a channel is not its own fallback"),
        ("inbx", "no channel 'inbx': did you mean 'inbox'?"),
    ],
)
def test_fallback_that_is_none(mistakes, fallback, message):
    """A fallback must be another channel that is there."""
    stands_in = f'provider = "slack"\nfallback = "{fallback}"'

    told = mistakes(TWO.replace('provider = "slack"', stands_in, 1))

    assert told == {"channels.dm.fallback": message}
