from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tocsin

SOURCE = Path(tocsin.__file__).parent

DEAR = [
    *("asyncio", "cattrs", "click", "importlib.metadata", "jinja2", "pluggy", "rich"),
    *("requests", "slack_sdk", "sqlite3", "ssl"),
]

FLOORS = [
    {
        *("integrations.keras", "integrations.lightning", "integrations.trackio"),
        *("integrations.transformers", "integrations.wandb"),
    },
    {"integrations._forwarding", "integrations._training"},
    {"integrations"},
    {"_watching", "logging", "stores"},
    {"_supervisor"},
    {"_supervisor._command", "_supervisor._reporter"},
    {"_session"},
    {"_run_id"},
    {"_run"},
    {"_children", "_life"},
    {"_hooks", "_notifier"},
    {"_courier", "_intake"},
    {"_attempt", "_config", "_gate", "_lane", "_state", "_terminal"},
    {"_store._document._store"},
    {"_store._document._claims"},
    {"_store._document._outcomes"},
    {"_store._document._admission", "_store._document._circuits"},
    {"_listening", "_rendering", "_roster", "_store.sqlite", "_structure"},
    {"_settings", "_store._claims", "_toml"},
    {"_plugins", "_store._outcomes"},
    {"_hookspecs", "_store._admission", "_store._database", "_journal"},
    {"_listener", "_settlement", "_tally"},
    {"_results"},
    {
        *("_store._circuits", "_store._document._tables", "_store._guard"),
        *("_store._rows", "_store._schema", "_store.damage", "_spill"),
    },
    {"_store", "_store._document"},
    {"_store._port", "_watcher"},
    {"_supervisor._child", "_supervisor._descendants"},
    {"_circuit", "_failure", "_report", "_run_record"},
    {"_envelope", "_metrics", "_retry", "_routing", "_secrecy"},
    {"_digest", "_provider", "_quiet", "_silence", "_throttle"},
    {"_alert", "http"},
    {"_text", "_transport"},
    {"_attachment", "_ending", "_filesystem", "_mode", "_places"},
    {"_processes", "_secret"},
    {"_errors", "_imports", "_oom", "_signals", "_told"},
    {
        *("_supervisor._signals", "_supervisor._tail"),
    },
]
"""The house, from the top: a module imports only from floors below its own."""

OWNERS = {
    "jinja2": {"_rendering"},
    "pluggy": {"_hookspecs", "_plugins"},
    "cattrs": {"_structure"},
    "requests": {"_transport"},
    "sqlite3": {
        *("_store._admission", "_store._circuits", "_store._claims"),
        *("_store._database", "_store._outcomes"),
        *("_store._rows", "_store._schema", "_store.damage", "_store.sqlite"),
    },
    "importlib.metadata": {"_plugins", "__init__"},
}
"""Who alone imports what is dear."""


def modules():
    for path in SOURCE.rglob("*.py"):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        if not name.startswith(("_cli", "__main__", "testing")):
            yield name, ast.parse(path.read_text())


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module in {"tocsin", "tocsin._store"}:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def floor(name):
    return next((n for n, names in enumerate(FLOORS) if name in names), None)


def test_all_is_the_public_api():
    """`__all__` is sorted, every name in it is there, and nothing public is beside it."""
    public = {name for name in vars(tocsin) if not name.startswith("_")}
    submodules = {
        *("http", "integrations", "logging", "stores", "testing", "TYPE_CHECKING")
    }

    assert tocsin.__all__ == sorted(tocsin.__all__)
    assert all(hasattr(tocsin, name) for name in tocsin.__all__)
    assert public - submodules <= set(tocsin.__all__)
    assert set(tocsin.__all__) <= set(dir(tocsin))


@pytest.mark.parametrize("name", tocsin.__all__)
def test_public_names_are_documented(name):
    """Everything public says what it is, and so do its public methods."""
    thing = getattr(tocsin, name)
    if not hasattr(thing, "__module__") or not callable(thing):
        return

    assert thing.__doc__
    for attribute, member in vars(thing).items() if isinstance(thing, type) else ():
        if callable(member) and not attribute.startswith("_"):
            assert member.__doc__, f"{name}.{attribute}"


def test_unknown_names_are_told():
    """A name that is not there is an AttributeError that names it."""
    with pytest.raises(AttributeError, match="'alrt'"):
        tocsin.alrt  # noqa: B018


def test_the_import_is_cheap():
    """`import tocsin` loads nothing that is dear, nor does raising load what it needs not."""
    code = f"import tocsin, sys; print([m for m in {DEAR!r} if m in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "[]"


def test_submitting_needs_no_delivery():
    """An alert that is kept for later loads neither templates nor plugins nor an SDK."""
    dear = [name for name in DEAR if name != "sqlite3"]
    code = (
        "import tocsin, sys; tocsin.alert('x');"
        f"print([m for m in {dear!r} if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "tree"), list(modules()), ids=lambda v: str(v)[:20])
def test_imports_run_downwards(name, tree):
    """A module imports only from floors below its own, and what is dear has one owner."""
    for imported in imports(tree):
        for dear, owners in OWNERS.items():
            if imported == dear or imported.startswith(dear + "."):
                assert name in owners, f"{name} imports {dear}"
        inner = imported.removeprefix("tocsin.")
        if name != "__init__" and imported != inner and floor(inner) is not None:
            assert floor(name) is not None, f"{name} has no floor"
            is_inside = inner.startswith(f"{name}.")
            assert is_inside or floor(name) < floor(inner), f"{name} imports {inner}"


def test_every_module_has_a_floor():
    """The drawing of the house is complete."""
    assert {name for name, _ in modules()} - {"__init__"} == set().union(*FLOORS)
    assert all(importlib.import_module(f"tocsin.{n}") for n in set().union(*FLOORS))


def test_core_knows_no_provider():
    """Core names no provider, not even in a comment."""
    for path in SOURCE.rglob("*.py"):
        text = path.read_text().lower()
        text = re.sub(r"\bemail\.(parser|policy|utils)", "", text)  # Python's own
        assert "slack" not in text, path
        assert "email" not in text, path
        assert "smtp" not in text, path
