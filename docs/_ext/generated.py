"""Reference text that is made from the code. It knows nothing of Sphinx."""
# ruff: noqa: INP001 - Sphinx finds it by its folder

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, get_args, get_origin

import attrs

from tocsin._plugins import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#])")
_KINDS = {
    "str": "string",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "Secret": "[secret](configuration.md#types)",
    "tuple[str, ...]": "list of strings",
}


def settings_of(provider: str) -> str:
    """Return the table of a provider's settings."""
    rows = [_setting(field) for field in attrs.fields(load(provider)) if field.init]
    return "\n".join(
        ["| setting | type | default | meaning |", "|---|---|---|---|", *rows]
    )


def _setting(field: attrs.Attribute[Any]) -> str:
    said = str(field.metadata.get("help", ""))
    cells = (f"`{field.name}`", _kind(field.type), _default(field), _plain(said))
    return f"| {' | '.join(cells)} |"


def _kind(annotation: object) -> str:
    if get_origin(annotation) is not None and "Literal" in str(get_origin(annotation)):
        return " or ".join(f'`"{value}"`' for value in get_args(annotation))
    is_class = isinstance(annotation, type) and not get_args(annotation)
    name = annotation.__name__ if is_class else str(annotation)
    return _KINDS[name]


def _default(field: attrs.Attribute[Any]) -> str:
    if field.default is attrs.NOTHING:
        return "must be given"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, str) and field.default:
        return f'`"{field.default}"`'
    return ""


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def commands() -> dict[str, click.Command]:
    """Return every command by its words: ``send``, ``route test``."""
    from tocsin._cli._commands import tocsin

    return dict(_commands(tocsin, ""))


def _commands(group: click.Group, prefix: str) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        words = f"{prefix} {name}".strip()
        if hasattr(command, "commands"):
            yield from _commands(command, words)
        else:
            yield words, command


def exit_codes() -> str:
    """Return the table that ends ``tocsin --help``."""
    from tocsin._cli._exits import TABLE

    rows = re.findall(r"^ +(\d+) +(.+)$", TABLE, re.MULTILINE)
    return "\n".join(
        [
            "| code | meaning |",
            "|---|---|",
            *(f"| {code} | {said} |" for code, said in rows),
        ]
    )


def command(words: str) -> str:
    """Return a command's usage, description and options; of ``tocsin``, those of all."""
    import click

    from tocsin._cli._commands import tocsin

    if words == "tocsin":
        return "\n".join(_options(tocsin, words, {"version"}))
    found = commands()[words]
    name = f"tocsin {words}"
    context = click.Context(found, info_name=name)
    usage = " ".join([name, *found.collect_usage_pieces(context)])
    shared = {option.name for option in tocsin.params}
    lines = [
        "```text",
        usage,
        "```",
        "",
        _plain(inspect.cleandoc(found.help or "")),
        "",
    ]
    return "\n".join([*lines, *_options(found, name, shared)])


def _options(
    command: click.Command, program: str, left_out: set[str | None]
) -> Iterator[str]:
    import click

    yield from (f"```{{program}} {program}", "```", "")
    context = click.Context(command)
    for option in command.params:
        if not isinstance(option, click.Option) or option.name in left_out:
            continue
        yield from (
            f"```{{option}} {_signature(option, context)}",
            _said(option),
            "```",
            "",
        )


def _signature(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    return ", ".join(f"{name}{value}" for name in option.opts)


def _said(option: click.Option) -> str:
    said = _plain(option.help or "")
    if option.show_default and not option.is_flag:
        said += f" Default: `{option.default}`."
    return said
