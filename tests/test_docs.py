"""The documentation builds, its examples run, and its reference is that of the code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

import attrs
import pytest
from docs_support import DOCS, Session, blocks, is_like, pages
from support import ROOT

import tocsin
from tocsin import Alert, AlertLevel, Channel, Origin, Settings, stores
from tocsin import _structure as structure
from tocsin._config import load
from tocsin._plugins import offers
from tocsin._routing import plan
from tocsin._throttle import Window, suppressed_until

MOST_NOT_RUN = 3
ELSEWHERE = re.compile(r"it needs (\w+); `nox -s integrations` runs it")
NOTHING = "\N{EN DASH}"


def generated():
    spec = importlib.util.spec_from_file_location(
        "generated", DOCS / "_ext" / "generated.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def directives(name, directive):
    """Return the arguments that a page gives to a directive."""
    return re.findall(rf"^```\{{{directive}\}} (.+)$", page(name), re.MULTILINE)


def tables(name):
    """Return the tables of a page, each a list of rows, with the heading above it."""
    found = []
    for line in page(name).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif not line.startswith("|"):
            rows = None
        elif rows is None:
            rows = []
            found.append((heading, rows))
            names = cells(line)
        elif not line.startswith("|---"):
            rows.append(dict(zip(names, cells(line), strict=True)))
    return found


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


# --- the site


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    for module in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(
            module, reason=f"the site is not built: {module} is missing"
        )
    folder = tmp_path_factory.mktemp("site")
    command = ["-nW", "--keep-going", "-q", "-b", "html", "-d", folder / "doctrees"]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *command, DOCS, folder / "html"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site):
    assert (site / "index.html").is_file()


@pytest.mark.slow
def test_every_public_name_has_an_entry(site):
    """A link to any name of the package finds it in the reference."""
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = {
        line.split()[0]
        for line in zlib.decompress(inventory).decode().split("\n")
        if line
    }

    assert {f"tocsin.{name}" for name in tocsin.__all__} <= entries


# --- the examples


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the pages' consoles are bash")
@pytest.mark.parametrize("name", [name for name in pages() if blocks(name)])
def test_the_examples_run(name, tmp_path):
    """Each block does what the page says; commands print what it shows."""
    with Session(tmp_path) as session:
        for block in blocks(name):
            for command, expected, printed in session.run(block):
                assert is_like(expected, printed), (
                    f"{block.where}: $ {command}\nprints\n{printed}"
                )


def test_few_blocks_do_not_run():
    reasons = [
        block.reason
        for name in pages()
        for block in blocks(name)
        if block.reason is not None
    ]

    frameworks = {found[1] for found in map(ELSEWHERE.fullmatch, reasons) if found}

    assert all(reasons)
    assert sum(not ELSEWHERE.fullmatch(reason) for reason in reasons) <= MOST_NOT_RUN
    for name in frameworks:
        assert (ROOT / "tests" / "integrations" / f"test_{name}.py").is_file()


@pytest.mark.slow
def test_the_headers_of_a_mail(tmp_path):
    """The mail of the example has the headers that the page shows."""
    (shown,) = [
        block.text
        for block in blocks("how-to/email.md")
        if block.text.startswith("Subject:")
    ]
    with Session(tmp_path) as session:
        for block in blocks("how-to/email.md"):
            if block.language in {"toml", "python"}:
                session.run(block)
            if block.language == "python":
                break
        (mail,) = session.mail.wait_for(1)

    sent = {f"{name}: {value}" for name, value in mail.message.items()}
    assert set(shown.splitlines()) <= sent


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("a 12:00:01", "a 23:59:59"),
        ("x\n…\nz", "x\ny\ny\nz"),
        ("01a20676d1fe7919", "01a20676e6fb7352"),
    ],
)
def test_what_counts_as_alike(asked, expected):
    assert is_like(asked, expected)
    assert not is_like(asked, expected + "\nmore")


# --- the reference


def test_every_public_name_is_on_the_page_once():
    entries = re.findall(
        r"^\.\. (?:auto\w+|data|decorator):: (\w+)\b(?!\.)",
        page("reference/api.md"),
        re.MULTILINE,
    )

    assert sorted(entries) == sorted(tocsin.__all__)


def test_every_name_of_a_store_is_on_its_page_once():
    entries = re.findall(
        r"^\.\. auto\w+:: (\w+)\b", page("reference/stores.md"), re.MULTILINE
    )
    elsewhere = set(stores.__all__) & set(tocsin.__all__)

    assert sorted(entries) == sorted(set(stores.__all__) - elsewhere)


KEYS = {
    "Above all tables": (structure.TopTable, {"include"}),
    "`[user]`": (structure.UserTable, set()),
    "`[[user.subscriptions]]`": (structure.Wish, set()),
    "`[teams.NAME]`": (structure.TeamTable, set()),
    "`[channels.NAME]`": (structure.ChannelTable, set()),
    "`[store]`": (structure.StoreTable, set()),
}
TYPES = {
    "Duration": "duration",
    "Duration | None": "duration",
    "Folder | None": "string",
    "bool | None": "boolean",
    "str": "string",
    "AlertLevel": "level",
    "tuple[str, ...]": "list of strings",
    "tuple[str, ...] | None": "list of strings",
    "tuple[Wish, ...]": "list of tables",
}
PATTERNS = {"kinds", "projects", "tags"}


def key_tables():
    return {
        heading: {row["key"].strip("`"): row for row in rows}
        for heading, rows in tables("reference/configuration.md")
        if "key" in rows[0]
    }


def test_every_key_of_the_configuration():
    """The page names the keys that the code takes, and no other."""
    keys = {heading: set(rows) for heading, rows in key_tables().items()}

    assert keys == {
        heading: {field.name for field in attrs.fields(table)} | more
        for heading, (table, more) in KEYS.items()
    }


@pytest.mark.parametrize("heading", KEYS)
def test_types_and_defaults_of_the_configuration(heading):
    rows = key_tables()[heading]
    for field in attrs.fields(KEYS[heading][0]):
        row = rows[field.name]
        written = annotation(KEYS[heading][0], field.name)
        kind = "list of patterns" if field.name in PATTERNS else TYPES[written]
        assert row["type"] == kind, field.name
        if code := re.fullmatch("`([^`]*)`", row["default"]):
            shown = tomllib.loads(f"it = {code[1]}")["it"]
            assert shown == default(field, shown), field.name


def annotation(table, name):
    """Return a field's type as it is written; once used, attrs holds the type itself."""
    return next(
        vars(base)["__annotations__"][name]
        for base in table.__mro__
        if name in vars(base).get("__annotations__", ())
    )


def default(field, shown):
    """Return a key's default as TOML would have it."""
    if isinstance(field.default, AlertLevel):
        return field.default.value
    if field.default is not None:
        return (
            list(field.default) if isinstance(field.default, tuple) else field.default
        )
    values = Settings(), Channel("", None)
    (value,) = [getattr(v, field.name) for v in values if hasattr(v, field.name)]
    return shown if structure.duration(shown) == value else value


_VARIABLES = (
    r'"(TOCSIN_\w+|\w*RANK|\w+_ID|\w+_PROCID|\w*WORLD_SIZE|PMIX_SIZE|\w+_N\w*TASKS|\w+_NUM_TASKS'
    r'|\w+_JOBID|\w+_SERVICE_HOST|JOB_COMPLETION_INDEX)"'
)


def test_every_variable_of_the_environment():
    """The page names the variables that the code reads, but for those of the platform."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in Path(tocsin.__file__).parent.rglob("*.py")
    )
    (rows,) = [
        rows
        for heading, rows in tables("reference/configuration.md")
        if heading == "Environment variables"
    ]
    named = {
        name for row in rows for name in re.findall("`([A-Z_]+)`", row["variable"])
    }

    assert named == set(re.findall(_VARIABLES, code))


PROVIDERS = sorted(folder.name for folder in (ROOT / "providers").iterdir())


def test_every_provider():
    """The page has the settings of each provider of this repository."""
    ours = {
        offer.name
        for offer in offers()
        if offer.distribution in {f"tocsin-{name}" for name in PROVIDERS}
    }

    assert sorted(directives("reference/providers.md", "provider-settings")) == sorted(
        ours
    )


def test_what_each_provider_can_do():
    """The page's tables have a row for each provider, with the limits of its class."""
    from tocsin._plugins import load as load_provider

    found = tables("reference/providers.md")
    those = [rows for heading, rows in found if heading == "What each can do"]
    named = [[row["provider"].strip("`") for row in rows] for rows in those]
    assert len(those) > 1
    assert [sorted(names) for names in named] == [PROVIDERS] * len(those)
    assert all(names == named[0] for names in named)

    def shown(limit):
        return NOTHING if limit is None else f"{limit:,}"

    for row, name in zip(those[0], named[0], strict=True):
        limits = load_provider(name).limits
        assert (row["title"], row["text"], row["unit"]) == (
            shown(limits.title),
            shown(limits.text),
            f"`{limits.unit}`",
        ), name


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_setting_of_a_provider(name):
    from tocsin._plugins import load as load_provider

    fields = [field for field in attrs.fields(load_provider(name)) if field.init]
    rows = generated().settings_of(name).splitlines()[2:]

    assert [re.match(r"\| `(\w+)`", row)[1] for row in rows] == [
        field.name for field in fields
    ]
    assert all(field.metadata.get("help") for field in fields)


def test_every_command():
    """The page has the commands that there are, each under its name."""
    pytest.importorskip("click")
    shown = directives("reference/cli.md", "tocsin-command")
    headings = re.findall(r"^### (.+)$", page("reference/cli.md"), re.MULTILINE)

    assert sorted(shown) == sorted([*generated().commands(), "tocsin"])
    assert headings == [name for name in shown if name != "tocsin"]


def test_every_option():
    """What is generated for a command names each of its options."""
    click = pytest.importorskip("click")
    shared = set(re.findall(r"--[\w-]+", generated().command("tocsin")))
    for name, command in generated().commands().items():
        text = generated().command(name)
        names = {
            one
            for option in command.params
            if isinstance(option, click.Option)
            for one in option.opts
            if one.startswith("--")
        }
        assert (
            set(re.findall(r"^```\{option\} .*?(--[\w-]+)", text, re.MULTILINE))
            | shared
            >= names
        ), name


def test_the_tree_of_errors():
    """The page draws the public errors as they derive from one another."""

    def drawn(error, indent=""):
        children = [c for c in error.__subclasses__() if c.__name__ in tocsin.__all__]
        for child in children:
            is_last = child is children[-1]
            yield f"{indent}{'└' if is_last else '├'}── {child.__name__}"
            yield from drawn(child, indent + ("    " if is_last else "│   "))

    names = [
        name for name in tocsin.__all__ if hasattr(getattr(tocsin, name), "__cause__")
    ]
    tree = [
        block.text
        for block in blocks("reference/errors.md")
        if block.language == "text"
    ]

    assert tree == ["\n".join(["TocsinError", *drawn(tocsin.TocsinError)]) + "\n"]
    assert all(name in tree[0] for name in names)


# --- the rules


def rules(column):
    (rows,) = [
        rows
        for _, rows in tables("explanation/throttle-and-routing.md")
        if column in rows[0]
    ]
    return rows


@pytest.mark.parametrize(
    "row", rules("last admitted"), ids=lambda row: " ".join(row.values())
)
def test_the_verdicts_of_the_throttle(row):
    """Each line of the page's table is what the code decides."""
    window = None
    if row["last admitted"] != NOTHING:
        window = Window(1000.0, AlertLevel(row["last admitted"]))
    since = 0.0 if row["seconds since"] == NOTHING else float(row["seconds since"])
    until = suppressed_until(
        window, AlertLevel(row["this alert"]), float(row["its wait"]), 1000.0 + since
    )

    assert ("admitted" if until is None else "suppressed") == row["it is"]


@pytest.mark.parametrize(
    "row", rules("goes to"), ids=lambda row: " ".join(row.values())
)
def test_where_alerts_go(row, tmp_path):
    """Each line of the page's table is what the page's configuration says."""
    *_, configuration = [
        block.text
        for block in blocks("explanation/throttle-and-routing.md")
        if block.language == "toml"
    ]
    (tmp_path / "tocsin.toml").write_text(configuration)
    alert = Alert(
        "x",
        level=row["level"],
        kind=row["kind"],
        tags=row["tags"].split(),
        origin=Origin(user=row["user"], team=row["team"], project=row["project"]),
    )

    routes = plan(alert, load(tmp_path / "tocsin.toml").subscriptions, 0.0)
    channels = [route.channel for route in routes]
    assert (", ".join(channels) or "nowhere") == row["goes to"]
