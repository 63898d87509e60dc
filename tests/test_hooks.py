"""The page of the hooks is that of the code."""

from __future__ import annotations

import ast
import inspect
import re

import pytest
from docs_support import DOCS, blocks

from tocsin import _hookspecs as hookspecs
from tocsin._listener import HOOKS

PAGE = "extend/hooks.md"
HOOKSPECS = {
    name: function
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if hasattr(function, "tocsin_spec")
}


def shown():
    """Return what the page shows of each function: its signature, as it is written."""
    return {
        node.name: f"({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
        for block in blocks(PAGE)
        if block.language == "python"
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("name", HOOKSPECS)
def test_every_hook_is_on_the_page(name):
    """Its exact signature stands below a heading of its name."""
    signature = str(inspect.signature(HOOKSPECS[name])).replace("'", "")

    assert shown()[name] == signature
    assert HOOKSPECS[name].__doc__


def test_no_other_hook_is_on_the_page():
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    headings = re.findall(r"^## (tocsin_\w+)$", text, re.MULTILINE)

    assert headings == list(shown())
    assert set(headings) == set(HOOKSPECS) == set(re.findall(r"tocsin_\w+", text))


def test_listeners_hear_every_hook_but_one():
    """What is no hook of a listener is for offering plugins."""
    assert set(HOOKSPECS) - {"tocsin_register"} == set(HOOKS)
