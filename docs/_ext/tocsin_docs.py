"""What the pages need of Sphinx beyond its own: names that link, settings, commands.

``name``                  the default role of docstrings: a public name links to itself
``{provider-settings}``   the table of a provider's settings, from its class
``{tocsin-command}``      a command of the command line, from click
``{exit-codes}``          what its exit codes mean
"""
# ruff: noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

import contextlib
import inspect
import re
import sys
from typing import TYPE_CHECKING, Any

import attrs
import generated
from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.ext.autodoc.preserve_defaults import DefaultValue
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.docutils import SphinxDirective, SphinxRole

import tocsin

if TYPE_CHECKING:
    from docutils.nodes import Element, Node, system_message
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_PLURAL = re.compile(r"((?<!`)`[\w.]+`)(?=\w)")  # `Attachment`s, which is no reST
_PYTHON = "https://docs.python.org/3/library"
_IMPORTED_FOR_TYPES = {
    "AbstractContextManager": "contextlib",
    "Callable": "collections.abc",
    "Collection": "collections.abc",
    "Iterable": "collections.abc",
    "Mapping": "collections.abc",
    "Path": "pathlib",
    "TracebackType": "types",
    "datetime": "datetime",
    "timedelta": "datetime",
}
"""Names that annotations use, imported where only type checkers look."""


class NameRole(SphinxRole):
    """A word in single backticks: a public name of tocsin links to where it is described."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """Return the word as code, in a reference if there is something to refer to."""
        code = nodes.literal(self.rawtext, self.text, classes=["xref"])
        target = self._target()
        if not target:
            return [nodes.literal(self.rawtext, self.text)], []
        reference = addnodes.pending_xref(
            "", code, refdomain="py", reftype="obj", reftarget=target, refwarn=True
        )
        reference["refdoc"] = self.env.docname
        reference["is_known"] = True
        return [reference], []

    def _target(self) -> str:
        """Return the full name of ``Run``, ``Run.alert``, or of one's own attribute."""
        head, _, rest = self.text.partition(".")
        if head in tocsin.__all__:
            owner = getattr(tocsin, head)
            known = not rest or hasattr(owner, rest) or rest in _fields(owner)
            return f"tocsin.{self.text}" if known else ""
        return ""


def _fields(owner: object) -> set[str]:
    return {field.name for field in getattr(owner, "__attrs_attrs__", ())}


class _Generated(SphinxDirective):
    """Markdown that is made when the site is built."""

    required_arguments = 1
    final_argument_whitespace = True

    def markdown(self, *arguments: str) -> str:
        raise NotImplementedError

    def run(self) -> list[Node]:
        """Return what the Markdown says."""
        source, _ = self.get_source_info()
        lines = StringList(self.markdown(*self.arguments).splitlines(), source)
        container = nodes.container()
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children


class ProviderSettings(_Generated):
    """``{provider-settings} slack``."""

    def markdown(self, argument: str) -> str:
        """Return the table of the settings."""
        return generated.settings_of(argument)


class TocsinCommand(_Generated):
    """``{tocsin-command} route test``, or ``tocsin`` for the options of all."""

    def markdown(self, argument: str) -> str:
        """Return usage, description and options."""
        return generated.command(argument)


class ExitCodes(_Generated):
    """``{exit-codes}``."""

    required_arguments = 0

    def markdown(self) -> str:
        """Return the table."""
        return generated.exit_codes()


def resolve(
    _: Sphinx, __: BuildEnvironment, node: Element, contnode: Element
) -> Element | None:
    """Find what annotations refer to: our own names, and Python's at docs.python.org.

    Names come as they stand in the code: shortened, or with the private module that they
    are defined in.
    """
    if node.get("refdomain") != "py":
        return None
    if node.get("is_known"):  # it is in the code, but has no entry of its own
        return contnode
    target = str(node["reftarget"])
    module, _, name = target.rpartition(".")
    module = module or _IMPORTED_FOR_TYPES.get(name, "")
    if module.partition(".")[0] in sys.stdlib_module_names:
        uri = f"{_PYTHON}/{module}.html#{module}.{name}"
        return nodes.reference("", "", contnode, internal=False, refuri=uri)
    return None


def sections(
    _: Sphinx, what: str, __: str, ___: object, ____: object, lines: list[str]
) -> None:
    """Read ``Args:`` and ``Raises:``.

    As an extension, napoleon would do the same to an attribute, and take what stands
    before a colon there for its type.
    """
    text = _PLURAL.sub(r"\1\\ ", "\n".join(lines))
    lines[:] = text.splitlines()
    if what not in {"attribute", "data", "property"}:
        lines[:] = [*GoogleDocstring(lines, what=what).lines(), ""]


def defaults(_: Sphinx, function: Any, __: object) -> None:  # noqa: ANN401 - as it comes
    """Make the defaults fit to be read: attrs marks what a factory makes by NOTHING."""
    function = getattr(function, "__func__", function)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    parameters = [
        one.replace(default=_readable(one.default))
        for one in signature.parameters.values()
    ]
    with contextlib.suppress(AttributeError, TypeError):  # a method of a built-in class
        function.__signature__ = signature.replace(parameters=parameters)


def _readable(default: object) -> object:
    if default is attrs.NOTHING:
        return DefaultValue("...")
    if inspect.isbuiltin(default):
        return DefaultValue(f"{default.__module__}.{default.__name__}")
    return default


def public_bases(
    _: Sphinx, __: str, ___: object, ____: object, bases: list[type]
) -> None:
    """Name the public class in the place of a private one that derives from it."""
    for position, base in enumerate(bases):
        public = (cls for cls in base.__mro__ if cls.__name__ in tocsin.__all__)
        bases[position] = next(public, base)


def shorten(_: Sphinx, document: nodes.document) -> None:
    """Let references to private modules point to the public name."""
    for node in document.findall(addnodes.pending_xref):
        target = str(node.get("reftarget", ""))
        head, _, name = target.rpartition(".")
        if head.startswith("tocsin._") and name in tocsin.__all__:
            node["reftarget"] = f"tocsin.{name}"


def skip(  # noqa: PLR0917 - Sphinx calls it so
    app: Sphinx,  # noqa: ARG001 - likewise
    what: str,  # noqa: ARG001 - likewise
    name: str,
    member: object,  # noqa: ARG001 - likewise
    is_skipped: bool,
    options: object,  # noqa: ARG001 - likewise
) -> bool | None:
    """Leave out the checks of a suite: each says itself what it is for."""
    is_check = name.startswith(("test_", "check_"))
    return True if is_check or is_skipped else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all this."""
    app.add_role("name", NameRole())
    app.add_directive("provider-settings", ProviderSettings)
    app.add_directive("tocsin-command", TocsinCommand)
    app.add_directive("exit-codes", ExitCodes)
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-docstring", sections)
    app.connect("autodoc-before-process-signature", defaults)
    app.connect("autodoc-process-bases", public_bases)
    app.connect("doctree-read", shorten)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
