"""`connect` asks, checks, writes, and tries out; until then nothing is changed."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import threading
import tomllib

import pytest
from terminal import Terminal

from tocsin import _plugins as plugins
from tocsin._config import load

CANARY = "xoxb-canary-1234"

DESK = '''
"""A provider with everything that a wizard has to ask for."""

import json
import pathlib
from typing import Literal

import attrs

from tocsin import Choice, OutOfOrder, Provider, Receipt, Secret, hookimpl


def _positive(instance, attribute, value):
    if value < 1:
        raise ValueError("at least one")


@attrs.frozen(kw_only=True)
class Desk(Provider):
    key: Secret = attrs.field(default=Secret(), metadata={"help": "What lets you in."})
    room: str = attrs.field(default="", metadata={"help": "Where.", "example": "12"})
    url: Secret = attrs.field(default=Secret(), metadata={"help": "Or a door."})
    people: tuple[str, ...] = attrs.field(default=(), metadata={"help": "Who."})
    copies: int = attrs.field(
        default=1, validator=_positive, metadata={"help": "Many.", "ask": True}
    )
    tone: Literal["low", "high"] = attrs.field(default="low", metadata={"ask": True})
    loud: bool = attrs.field(default=False, metadata={"help": "Loud."})
    folder: str = attrs.field(default="", metadata={"ask": False})

    name = "desk"
    ways = {"with a key": ("key", "room"), "by the door": ("url",)}

    def __attrs_post_init__(self):
        if self.room == "fickle" and pathlib.Path("asked").exists():
            raise ValueError("not here after all")
        if self.room == "attic" and self.tone == "high":
            raise ValueError("the attic takes no high tone: change one")

    @classmethod
    def offers(cls, setting, given, timeout):
        if setting != "room":
            return ()
        if given["key"].reveal() == "wrong":
            raise OutOfOrder("the key wrong is no good", remedy="get another")
        rooms = [Choice(f"{n}", f"room {n}") for n in range(100, 130)]
        return [Choice("7", "your own room", is_recommended=True), *rooms]

    def check(self, timeout):
        if self.room == "fickle":
            pathlib.Path("asked").touch()
        if self.room == "shut":
            raise OutOfOrder(f"the room is shut for {self.key.reveal()}", remedy="wait")
        return "the desk is there"

    def deliver(self, message, delivery):
        if self.room == "mute":
            raise OutOfOrder("nobody hears")
        with open(pathlib.Path(self.folder or ".") / "desk.jsonl", "a") as file:
            line = [self.room, (self.key or self.url).reveal(), message.title]
            file.write(json.dumps(line) + "\\n")
        return Receipt(place=self.room)


@hookimpl
def tocsin_register(registrar):
    registrar.provider(Desk)
'''


@pytest.fixture(scope="session")
def desk_site(tmp_path_factory, make_site):
    return make_site(
        tmp_path_factory.mktemp("desk"), "desk", "tocsin_desk", DESK, "desk"
    )


@pytest.fixture(autouse=True)
def _desk(desk_site, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(desk_site)
    path = os.pathsep.join([str(desk_site), os.environ["PYTHONPATH"]])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("KEY", CANARY)
    monkeypatch.chdir(tmp_path)
    plugins._entry_points.cache_clear()


@pytest.fixture
def own(tmp_path):
    """The user's own configuration, which is not there yet."""
    return tmp_path / "home" / "tocsin" / "tocsin.toml"


@pytest.fixture
def connect(cli):
    """Return what connects without a terminal; the secret comes by standard input."""

    def connect(*words, stdin=CANARY, **settings):
        given = {"key": "-", "room": "12", **settings}
        pairs = [word for item in given.items() for word in ("--set", "=".join(item))]
        return cli("connect", "desk", *pairs, *words, stdin=stdin)

    return connect


@pytest.fixture
def before(configure, tmp_path):
    """A configuration that somebody wrote by hand, two files of it."""
    (tmp_path / "team.toml").write_text(TEAM)
    (tmp_path / "team.toml").chmod(0o600)
    return configure(OWN)


OWN = """\
# Mine, with care.
include = ["team.toml"]

[user]
name = "ada"   # who else
channels = ["dm"]

[channels.dm]   # the first
provider = "desk"
url = { env = "KEY" } # a door

[channels.spare]
provider = "desk"
url = { env = "KEY" }
fallback = "dm"
fallback_after = "5m"

# the end
"""
TEAM = """\
[teams.vision]
members = ["ada"]
channels = ["hall", "dm"]

[[teams.vision.subscriptions]]
channels = ["hall"]
min_level = "ERROR"

[channels.hall]
provider = "desk"
url = { env = "KEY" }
"""


def everything_below(folder):
    return {
        path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def settings_in(file):
    return tomllib.loads(file.read_text())


# --- at the terminal


def test_a_newcomer(own, tmp_path):
    """Everything is asked for, the best is the default, and the alerts arrive at once."""
    with Terminal("connect", "desk") as terminal:
        terminal.expect("How shall desk be reached?")
        terminal.ready()
        terminal.type("1")
        terminal.answer(key=CANARY)
        terminal.expect("your own room")
        terminal.expect("recommended")
        terminal.ready()
        terminal.type("")
        terminal.answer(people="ada, grace", copies="0")
        terminal.expect("at least one")
        terminal.ready()
        terminal.type("2")
        terminal.answer(tone="2")
        terminal.expect("the desk is there")
        terminal.expect("be called?")
        terminal.type("")
        terminal.expect("Which alerts shall desk get?")
        terminal.type("")
        terminal.expect("secret be kept?")
        assert CANARY not in terminal.told.replace(f"KEY={CANARY}", "")
        terminal.type("1")
        assert terminal.end() == 0

    assert settings_in(own) == {
        "channels": {
            "desk": {
                "provider": "desk",
                "key": {"file": "secrets/desk.key"},
                "room": "7",
                "people": ["ada", "grace"],
                "copies": 2,
                "tone": "high",
            }
        },
        "user": {"channels": ["desk"]},
    }
    assert json.loads((tmp_path / "desk.jsonl").read_text())[:2] == ["7", CANARY]
    assert CANARY not in terminal.shown
    assert "✓  desk  delivered to 7" in terminal.shown
    assert "key is in" in terminal.shown
    assert "alerts go to desk" in terminal.shown


def test_who_may_read_it(own, connect):
    """The file, the secret and their folders are the user's alone."""
    connect()

    secret = own.parent / "secrets" / "desk.key"
    assert secret.read_text().strip() == CANARY
    modes = [path.stat().st_mode & 0o777 for path in (own, secret)]
    assert modes == [0o600, 0o600]
    assert own.parent.stat().st_mode & 0o777 == 0o700
    assert secret.parent.stat().st_mode & 0o777 == 0o700


def test_an_answer_that_the_service_refuses(own):
    """What the service says of a secret is told at once, without it, and may be mended."""
    with Terminal("connect", "desk", "--no-test") as terminal:
        terminal.expect("reached?")
        terminal.type("1")
        terminal.answer(key="wrong")
        terminal.expect("the key … is no good")
        terminal.expect("→ get another")
        terminal.expect("change key")
        terminal.type("1")
        terminal.answer(key="right", room="130", people="", copies="", tone="")
        terminal.expect("be called?")
        terminal.type("no good!")
        terminal.expect("64 ASCII letters")
        terminal.type("desk-2")
        terminal.expect("Which alerts")
        terminal.type("3")
        terminal.expect("be kept?")
        terminal.type("file")
        assert terminal.end() == 0

    assert settings_in(own) == {
        "channels": {
            "desk-2": {
                "provider": "desk",
                "key": {"file": "secrets/desk-2.key"},
                "room": "130",
            }
        },
        "user": {"channels": ["desk-2"], "min_level": "ERROR"},
    }


def test_settings_that_contradict_one_another(own):
    """So do settings that do not go together, and a check that fails."""
    with Terminal("connect", "desk", "--no-test", "--name", "d") as terminal:
        terminal.expect("reached?")
        terminal.type("1")
        terminal.answer(key=CANARY, room="attic", people="", copies="", tone="high")
        terminal.expect("the attic takes no high tone")
        terminal.expect("change room")
        terminal.type("2")
        terminal.answer(room="shut")
        terminal.expect("the room is shut for …")
        terminal.expect("→ wait")
        terminal.expect("write it all the same")
        terminal.type("write it all the same")
        terminal.expect("Which alerts")
        terminal.type("")
        terminal.expect("be kept?")
        terminal.type("1")
        assert terminal.end() == 0

    assert settings_in(own)["channels"]["d"]["room"] == "shut"
    assert CANARY not in terminal.shown


def test_many_choices(own):
    """A part of a name finds what is too far down the list."""
    with Terminal("connect", "desk", "--set", "key=env:KEY", "--no-test") as terminal:
        terminal.expect("and 16 more: type a part of the name")
        terminal.ready()
        terminal.type("room 12")
        terminal.expect("10  room 129")
        terminal.ready()
        terminal.type("10")
        terminal.answer(people="", copies="", tone="")
        terminal.expect("be called?")
        terminal.type("")
        terminal.expect("Which alerts")
        terminal.type("")
        assert terminal.end() == 0

    assert settings_in(own)["channels"]["desk"]["room"] == "129"
    assert settings_in(own)["channels"]["desk"]["key"] == {"env": "KEY"}


HOSTILE = [
    'say "hi" \\ it\'s \'\'\' """',
    "ünï ☃ 日本 \U0001f980",
    "[channels.x] # = {",
    "x" * 4000,
    "tab\\tand \\u0000 spelt out",
]


@pytest.mark.parametrize(
    "answer", HOSTILE, ids=["quotes", "unicode", "toml", "long", "\\"]
)
def test_hostile_answers(answer, own):
    """Whatever is typed is in the file as it was typed."""
    with Terminal("connect", "desk", "--set", "url=env:KEY", "--no-test") as terminal:
        terminal.answer(people=answer.replace(",", ""), copies="", tone="")
        terminal.expect("be called?")
        terminal.type("")
        terminal.expect("Which alerts")
        terminal.type("")
        assert terminal.end() == 0

    assert settings_in(own)["channels"]["desk"]["people"] == [answer.replace(",", "")]


@pytest.mark.parametrize(
    "room", ["a\nb", "\x1b[2Jb\x07", "\u202e", "\r\n[user]\n", "a\x7f"], ids=repr
)
def test_control_characters(room, own, connect):
    """A value with control characters is kept as it is, and printed without them."""
    result = connect("--no-test", room=room)

    assert result.exit_code == 0
    assert settings_in(own)["channels"]["desk"]["room"] == room
    assert "\x1b" not in result.output


def test_what_cannot_be_written(own, connect):
    """Bytes that are no text are refused before anything is made."""
    result = connect(room="a\udcff")

    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
    assert not own.parent.exists()


@pytest.mark.parametrize("question", ["key: ", "be called?", "be kept?"])
def test_interrupted(question, before, tmp_path):
    """Ctrl-C leaves everything as it was, wherever it comes."""
    was = everything_below(tmp_path)
    with Terminal("connect", "desk", "--set", "room=12", "--no-test") as terminal:
        if question != "key: ":
            terminal.answer(key=CANARY, people="", copies="", tone="")
            terminal.expect("be called?")
        if question == "be kept?":
            terminal.type("")
            terminal.expect("Which alerts")
            terminal.type("")
        if question != "be called?":
            terminal.expect(question)
        terminal.interrupt()
        terminal.expect("Nothing is changed.")
        assert terminal.end() == 130

    assert everything_below(tmp_path) == was
    assert CANARY not in terminal.shown


def test_ctrl_d(own):
    """The end of the input is no answer either."""
    with Terminal("connect", "desk") as terminal:
        terminal.expect("reached?")
        terminal.ready()
        terminal.type("\x04")
        terminal.expect("Nothing is changed.")
        assert terminal.end() == 130

    assert not own.parent.exists()


def test_replacing_is_asked(before, tmp_path):
    """A channel of the same name is replaced when a person agrees, and not before."""
    words = (
        "connect",
        "desk",
        "--set",
        "url=env:KEY",
        "--set",
        "copies=3",
        "--name",
        "dm",
    )
    for answer, code in [("n", 130), ("y", 0)]:
        with Terminal(*words, "--no-test") as terminal:
            terminal.answer(people="", tone="")
            terminal.expect("There is a channel dm already")
            terminal.type(answer)
            assert terminal.end() == code

        assert settings_in(before)["channels"]["dm"].get("copies") == (
            3 if not code else None
        )


# --- without a terminal


def test_a_script(own, connect, tmp_path):
    """With all that is needed on the line nothing is asked; the secret is in none of it."""
    result = connect("--name", "d", "--min-level", "WARN")

    assert result.exit_code == 0
    assert load(own).channels["d"].provider.key.reveal() == CANARY
    assert settings_in(own)["user"] == {"channels": ["d"], "min_level": "WARN"}
    assert "✓  d  delivered to 12" in result.stdout
    assert CANARY not in result.output
    assert CANARY not in own.read_text()
    assert not any(
        CANARY.encode() in content
        for path, content in everything_below(tmp_path / "state").items()
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "give --set key=… and --set room=…, or --set url=…"),
        ({"room": "12"}, "something is missing: give --set key=…"),
        ({"rom": "12"}, "desk has no setting 'rom': did you mean 'room'?"),
        ({"room": "12", "key": CANARY}, "everybody can read a command line"),
        ({"room": "12", "key": "env:"}, "env: names nothing"),
        ({"room": "12", "key": "keyring:x"}, "no entry of a keyring"),
        ({"room": "12", "key": "env:KEY", "copies": "many"}, "must be a whole number"),
        ({"room": "12", "key": "env:KEY", "copies": "0"}, "copies: at least one"),
        ({"room": "12", "key": "env:KEY", "tone": "hihg"}, "did you mean 'high'?"),
        ({"room": "12", "key": "env:KEY", "loud": "perhaps"}, "must be true or false"),
        ({"room": "attic", "key": "env:KEY", "tone": "high"}, "the attic takes no"),
    ],
)
def test_what_a_script_got_wrong(settings, said, cli, own):
    """What is missing or wrong is named with the option that mends it: 2."""
    pairs = [word for item in settings.items() for word in ("--set", "=".join(item))]

    result = cli("connect", "desk", *pairs)
    assert result.exit_code == 2
    assert said in result.stderr
    assert CANARY not in result.output
    assert not own.parent.exists()


def test_no_pair(cli):
    """What is no pair is not repeated, for it may be a secret."""
    result = cli("connect", "desk", "--set", CANARY)

    assert result.exit_code == 2
    assert "write NAME=VALUE" in result.stderr
    assert CANARY not in result.output


def test_a_list(own, connect):
    """A list is one value with commas, or the option several times."""
    connect("--no-test", "--set", "people=a, b", "--set", "people=c")

    assert settings_in(own)["channels"]["desk"]["people"] == ["a, b", "c"]


def test_a_check_that_fails(own, connect):
    """A service that refuses ends it with 1, and nothing is written, unless one insists."""
    result = connect(room="shut")

    assert result.exit_code == 1
    assert "the room is shut for …" in result.stderr
    assert "→ wait" in result.stderr
    assert not own.parent.exists()
    assert connect("--no-check", "--no-test", room="shut").exit_code == 0
    assert own.exists()


def test_a_test_that_fails(own, connect):
    """A test alert that does not arrive ends it with 1; what is written stays."""
    result = connect(room="mute")

    assert result.exit_code == 1
    assert "nobody hears" in result.stdout
    assert own.exists()


def test_a_provider_that_is_not_there(cli):
    result = cli("connect", "dsek")

    assert result.exit_code == 2
    assert "did you mean 'desk'?" in result.stderr


# --- the file


def test_comments_stay(before, connect):
    """What somebody wrote stands as it stood; the new table is added."""
    assert connect("--no-test").exit_code == 0

    text = before.read_text()
    for line in OWN.splitlines():
        assert line in text or line.startswith("channels = ")
    assert 'channels = ["dm", "desk"]' in text
    assert 'key = { file = "secrets/desk.key" }' in text


def test_replacing(before, connect):
    """What is replaced keeps its comments, its place and its fallback."""
    assert connect("--no-test", "--name", "spare").exit_code == 2
    result = connect("--no-test", "--name", "spare", "--yes")

    assert result.exit_code == 0
    assert settings_in(before)["channels"]["spare"] == {
        "provider": "desk",
        "key": {"file": "secrets/spare.key"},
        "room": "12",
        "fallback": "dm",
        "fallback_after": "5m",
    }
    assert before.read_text().endswith("\n\n# the end\n")


def test_a_comment_on_what_follows(configure, connect):
    """A key that is added stands above the comment on the next table."""
    file = configure("""\
        [user]
        name = "ada"

        # my first
        [channels.dm]
        provider = "desk"
        url = { env = "KEY" }
    """)

    assert connect("--no-test").exit_code == 0
    assert 'name = "ada"\nchannels = ["desk"]\n\n# my first\n' in file.read_text()


def test_the_old_secret(before, connect, tmp_path):
    """Connected again, a channel has its new secret, and the old one is gone."""
    connect("--no-test")
    connect("--no-test", "--yes", stdin="another")

    secrets = [path.name for path in (tmp_path / "secrets").iterdir()]
    assert secrets == ["desk.key.2"]
    assert load(before).channels["desk"].provider.key.reveal() == "another"


def test_a_secret_of_others_stays(before, connect, tmp_path):
    """A file that others refer to, or that somebody made, is not touched."""
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o700)
    (folder / "desk.key").write_text("mine")
    connect("--no-test")
    before.write_text(
        before.read_text().replace(
            'url = { env = "KEY" } #', 'url = { file = "secrets/desk.key.2" } #'
        )
    )
    connect("--no-test", "--yes")

    names = sorted(path.name for path in folder.iterdir())
    assert names == ["desk.key", "desk.key.2", "desk.key.3"]
    assert (folder / "desk.key").read_text() == "mine"


def test_in_the_file_that_has_it(before, connect, tmp_path):
    """A channel of an included file is replaced there, its secret beside that file."""
    assert connect("--no-test", "--name", "hall", "--yes").exit_code == 0

    assert (
        before.read_text().count("hall") == 0
        or "hall" in settings_in(before)["user"]["channels"]
    )
    assert settings_in(tmp_path / "team.toml")["channels"]["hall"]["room"] == "12"


@pytest.mark.parametrize(
    ("words", "file", "expected"),
    [
        (["--team", "vision"], "team.toml", ["hall", "dm", "desk"]),
        (["--team", "new"], "tocsin.toml", ["desk"]),
    ],
)
def test_a_team(words, file, expected, before, connect):
    """With --team a team's table names it, wherever that stands."""
    assert connect("--no-test", *words).exit_code == 0

    assert (
        settings_in(before.with_name(file))["teams"][words[1]]["channels"] == expected
    )
    assert settings_in(before)["user"]["channels"] == ["dm"]


def test_a_level_of_its_own(before, connect):
    """With a level the channel gets a wish of its own beside the one that is there."""
    connect("--no-test", "--min-level", "error")

    wishes = settings_in(before)["user"]["subscriptions"]
    assert wishes == [{"channels": ["desk"], "min_level": "ERROR"}]


SHAPES = [
    "",
    "# only this\n",
    'channels = { a = { provider = "desk", url = "x" } }\n',
    '[channels]\na.provider = "desk"\na.url = "x"\n[user]\nchannels = "a"\n',
    '[channels.a]\nprovider = "desk"\nurl = "x"\n[user]\nchannels = ["a"]\n[channels.b]\nprovider = "desk"\nurl = "x"\n',
    'user = { channels = ["a"] }\n[channels.a]\nprovider = "desk"\nurl = "x"\n',
    '[[user.subscriptions]]\nchannels = ["a"]\n\n[channels.a]\nprovider = "desk"\n[channels.a.url]\nenv = "KEY"\n',
    '[user]\r\nchannels = [\r\n  "a", # one\r\n]\r\n[channels.a]\r\nprovider = "desk"\r\nurl = "x"\r\n',
    '[user]\nsubscriptions = [{ channels = ["a"] }]\n[channels.a]\nprovider = "desk"\nurl = "x"',
]


@pytest.mark.parametrize("text", SHAPES)
@pytest.mark.parametrize(
    "words", [[], ["--min-level", "WARN"], ["--team", "t"]], ids=str
)
def test_however_it_is_written(text, words, configure, connect, cli):
    """In whatever form a file is, it means the same and more; disconnecting takes that back."""
    file = configure(text)
    with file.open("w", newline="") as stream:
        stream.write(text)
    was = tomllib.loads(text)

    assert connect("--no-test", *words).exit_code == 0
    now = load(file)
    assert {*was.get("channels", {}), "desk"} == set(now.channels)
    assert any("desk" in wish.channels for wish in now.subscriptions)
    assert cli("disconnect", "desk", "--yes").exit_code == 0
    assert meaning(settings_in(file)) == meaning(tomllib.loads(text))
    written = file.read_bytes().decode()
    assert all(part in written for part in re.findall("#.*", text))


def test_dotted_keys(configure, connect):
    """A form that cannot be changed safely is left as it is, with what to do."""
    text = 'channels.a.provider = "desk"\nchannels.a.url = "x"\n'
    file = configure(text)

    result = connect("--no-test")
    assert result.exit_code == 2
    assert "a table of its own, [channels.NAME]" in result.stderr
    assert file.read_text() == text


def meaning(tables):
    """Return what tables say, whether a list of one is a list, and empty ones are there."""
    said = {}
    for key, value in tables.items():
        inner = meaning(value) if isinstance(value, dict) else value
        inner = [inner] if key == "channels" and isinstance(inner, str) else inner
        if inner not in ({}, []):
            said[key] = inner
    return said


def test_a_broken_file(configure, connect):
    """A file with mistakes is told, and not touched."""
    file = configure("[user]\nchanels = ['x']\n")

    result = connect()
    assert result.exit_code == 2
    assert "did you mean 'channels'?" in result.stderr
    assert file.read_text() == "[user]\nchanels = ['x']\n"


def test_a_read_only_file(before, connect, tmp_path):
    """A file that is read-only is left so, and no secret stays behind."""
    before.chmod(0o400)
    was = everything_below(tmp_path)

    result = connect()
    assert result.exit_code == 1
    assert "is read-only: chmod u+w" in result.stderr
    assert everything_below(tmp_path) == was
    assert not (tmp_path / "secrets").exists()


def test_a_link(tmp_path, connect, monkeypatch):
    """A link to the file stays one; the file keeps its mode."""
    (tmp_path / "real").mkdir()
    file, link = tmp_path / "real" / "tocsin.toml", tmp_path / "tocsin.toml"
    file.write_text("# mine\n")
    file.chmod(0o640)
    link.symlink_to(file)
    monkeypatch.setenv("TOCSIN_CONFIG", str(link))

    assert connect("--no-test").exit_code == 0
    assert link.is_symlink()
    assert file.read_text().startswith("# mine\n")
    assert file.stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "real" / "secrets" / "desk.key").exists()


@pytest.mark.parametrize("kind", ["link", "open", "file"])
def test_a_folder_of_secrets_that_is_not_safe(kind, before, connect, tmp_path):
    """Secrets are put into no folder that is a link, or that others can write."""
    folder = tmp_path / "secrets"
    if kind == "link":
        folder.symlink_to(tmp_path)
    elif kind == "file":
        folder.write_text("")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    was = everything_below(tmp_path)

    result = connect()
    assert result.exit_code == 1
    assert everything_below(tmp_path) == was


def test_a_full_disk(before, tmp_path):
    """What cannot be written leaves everything as it was."""
    before.write_text(OWN + "# much\n" * 2000)
    was = everything_below(tmp_path)

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tocsin",
            "connect",
            "desk",
            "--set",
            "key=-",
            "--set",
            "room=1",
        ],
        input=CANARY,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 1
    assert "nothing is changed" in done.stderr
    assert everything_below(tmp_path) == was


def test_a_program_that_writes_at_the_same_time(before, process):
    """Several who connect at once all find themselves in the file."""
    started = [
        process(
            "connect", "desk", "--set", "url=env:KEY", "--name", f"d{n}", "--no-test"
        )
        for n in range(4)
    ]
    for one in started:
        one.communicate(timeout=120)

    assert [one.returncode for one in started] == [0] * 4
    names = {f"d{n}" for n in range(4)}
    assert names <= set(load(before).channels)
    assert names < set(settings_in(before)["user"]["channels"])


def test_a_lock_that_is_held(before, connect):
    """Whoever waits for the lock goes on when it is free."""
    import fcntl

    folder = os.open(before.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    timer = threading.Timer(0.5, os.close, [folder])
    timer.start()

    assert connect("--no-test").exit_code == 0
    timer.join()


def test_a_provider_that_changes_its_mind(before, connect, tmp_path):
    """A configuration that a program would refuse is put back as it was."""
    was = everything_below(tmp_path)

    result = connect("--no-test", room="fickle")
    assert result.exit_code == 2
    assert "not here after all" in result.stderr
    (tmp_path / "asked").unlink()
    assert everything_below(tmp_path) == was


def test_without_a_home(cli, monkeypatch):
    """Who has no home is asked to name a file."""
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)

    result = cli("connect", "desk", "--set", "url=env:KEY")
    assert result.exit_code == 2
    assert "--config FILE" in result.stderr


def test_a_file_that_is_named(tmp_path, connect):
    """--config names the file, which is made with its folder."""
    file = tmp_path / "new" / "mine.toml"

    assert connect("--no-test", "--config", str(file)).exit_code == 0
    assert "desk" in load(file).channels


# --- secrets elsewhere


@pytest.fixture
def keyring(monkeypatch, tmp_path):
    """A keyring that is a file of this test's own."""
    module = pytest.importorskip("keyring")
    alt = pytest.importorskip("keyrings.alt.file")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    backend = alt.PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    old = module.get_keyring()
    module.set_keyring(backend)
    yield module
    module.set_keyring(old)


def test_in_the_keyring(before, connect, keyring, cli):
    """The keyring keeps it; connected again, the old entry goes, disconnected, all do."""
    assert connect("--no-test", "--secret-in", "keyring").exit_code == 0
    assert settings_in(before)["channels"]["desk"]["key"] == {
        "keyring": "tocsin/desk.key"
    }
    assert load(before).channels["desk"].provider.key.reveal() == CANARY
    assert 'key = { keyring = "tocsin/desk.key" }' in cli("channels").stdout

    assert (
        connect("--no-test", "--secret-in", "keyring", "--yes", stdin="b").exit_code
        == 0
    )
    assert keyring.get_password("tocsin", "desk.key") is None
    assert keyring.get_password("tocsin", "desk.key.2") == "b"
    assert cli("disconnect", "desk", "--yes").exit_code == 0
    assert keyring.get_password("tocsin", "desk.key.2") is None


def test_no_keyring(before, connect, monkeypatch):
    """Where no keyring can keep anything, that is told with what to do."""
    module = pytest.importorskip("keyring")
    from keyring.backends.fail import Keyring

    old = module.get_keyring()
    module.set_keyring(Keyring())
    try:
        result = connect("--secret-in", "keyring")
    finally:
        module.set_keyring(old)

    assert result.exit_code == 1
    assert "or --secret-in file" in result.stderr
    assert before.read_text() == OWN


def test_in_the_environment(before, connect, monkeypatch):
    """A secret for the environment is kept nowhere; the variable is named."""
    monkeypatch.delenv("TOCSIN_DESK_KEY", raising=False)
    result = connect("--secret-in", "env")

    assert result.exit_code == 0
    assert settings_in(before)["channels"]["desk"]["key"] == {"env": "TOCSIN_DESK_KEY"}
    assert "export TOCSIN_DESK_KEY where your programs run" in result.stdout
    assert CANARY not in result.output


def test_a_file_of_ones_own(before, connect, tmp_path):
    """A reference stands as it is meant from here, and its file is never removed."""
    (tmp_path / "mine").write_text(CANARY)
    connect("--no-test", key="file:mine")

    assert settings_in(before)["channels"]["desk"]["key"] == {
        "file": str(tmp_path / "mine")
    }
