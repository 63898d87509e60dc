"""What connecting and disconnecting changes in a tree of tables. No file is touched here."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import attrs

from tocsin._structure import Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tomlkit.items import Table

    from tocsin._cli._connect_file import Change, Tree

_WISHES = tuple(attrs.fields_dict(Wish))
_KEPT = ("fallback", "fallback_after")


def set_channel(name: str, values: Mapping[str, object]) -> Change:
    """Return what writes a channel's table; what is ours in one that is there stays."""
    return partial(_set_channel, name=name, values=values)


def _set_channel(tree: Tree, name: str, values: Mapping[str, object]) -> None:
    channels = _table(tree, "channels", above=True)
    is_new = name not in channels
    table = _table(channels, name)
    for key in [key for key in table if key not in values and key not in _KEPT]:
        del table[key]
    for key, value in values.items():
        if key not in table or table[key] != value:
            _put(table, key, _item(table, value))
    if is_new and _is_table(table) and not _is_last(tree, "channels"):
        import tomlkit

        table.add(tomlkit.nl())


def _is_last(document: Tree, key: str) -> bool:
    """Whether nothing stands below these tables in a file."""
    keys = [str(one.key) for one, _ in getattr(document, "body", ()) if one is not None]
    return not keys or keys[-1] == key


def subscribe(name: str, owner: tuple[str, ...], min_level: str) -> Change:
    """Return what adds a channel to a table's own wish, or as a wish beside it.

    `owner` is the way to the table. With a level, a wish of its own is needed where the
    table has one already.
    """
    return partial(_subscribe, name=name, owner=owner, min_level=min_level)


def _subscribe(tree: Tree, name: str, owner: tuple[str, ...], min_level: str) -> None:
    *above, last = owner
    for key in above:
        tree = _table(tree, key, above=True)
    table = _table(tree, last)
    if min_level and any(key in table for key in _WISHES):
        _add_wish(table, {"channels": [name], "min_level": min_level})
        return
    named = table.get("channels", [])
    if isinstance(named, str):
        _put(table, "channels", [named, name])
    elif "channels" in table:
        named.append(name)
    else:
        _put(table, "channels", [name])
    if min_level:
        _put(table, "min_level", min_level)


def _add_wish(table: Tree, wish: dict[str, object]) -> None:
    if "subscriptions" in table:
        table["subscriptions"].append(_like_others(table["subscriptions"], wish))
    elif not _is_written(table):
        table["subscriptions"] = [wish]
    else:
        import tomlkit
        from tomlkit.items import InlineTable

        if isinstance(table, InlineTable):
            table["subscriptions"] = [wish]
            return
        listed = tomlkit.aot()
        listed.append(tomlkit.item(wish))
        table["subscriptions"] = listed


def _like_others(listed: object, wish: dict[str, object]) -> object:
    from tomlkit.items import AoT, Array

    if not isinstance(listed, AoT | Array):
        return wish
    import tomlkit

    if isinstance(listed, AoT):
        return tomlkit.item(wish)
    inline = tomlkit.inline_table()
    inline.update(wish)
    return inline


def remove_channel(name: str) -> Change:
    """Return what removes a channel's table."""
    return partial(_remove_channel, name=name)


def _remove_channel(tree: Tree, name: str) -> None:
    del tree["channels"][name]
    if not tree["channels"]:
        del tree["channels"]


def remove_mentions(name: str) -> Change:
    """Return what takes a channel out of subscriptions and fallbacks.

    A subscription that is left without channels goes.
    """
    return partial(_remove_mentions, name=name)


def _remove_mentions(tree: Tree, name: str) -> None:
    for channel in _subtables(tree.get("channels")):
        if channel.get("fallback") == name:
            for key in _KEPT:
                channel.pop(key, None)
    for owner in _owners(tree):
        _unsubscribe(owner, name)
        listed = owner.get("subscriptions", [])
        for wish in [wish for wish in listed if isinstance(wish, MutableMapping)]:
            _unsubscribe(wish, name)
        for position in reversed(range(len(listed))):
            if not listed[position]:
                del listed[position]
        if "subscriptions" in owner and not listed:
            del owner["subscriptions"]


def mentions(tree: Mapping[str, Any], name: str) -> Iterator[str]:
    """Return where a file names a channel, in words."""
    for key, channel in dict(tree.get("channels") or {}).items():
        if isinstance(channel, Mapping) and channel.get("fallback") == name:
            yield f"the fallback of {key}"
    named = {"[user]": tree.get("user")}
    named |= {
        f"[teams.{key}]": team for key, team in dict(tree.get("teams") or {}).items()
    }
    for heading, owner in named.items():
        if isinstance(owner, Mapping):
            wishes = [owner, *owner.get("subscriptions", [])]
            lists = [_names(wish) for wish in wishes if name in _names(wish)]
            if lists:
                last = any(set(names) == {name} for names in lists)
                yield f"{heading}" + (
                    ", where a subscription has no other" if last else ""
                )


def _names(wish: Mapping[str, Any]) -> list[str]:
    named = wish.get("channels", [])
    return [named] if isinstance(named, str) else list(named)


def _unsubscribe(wish: Tree, name: str) -> None:
    """Take the name out; without channels, all that a wish consists of goes."""
    if name not in _names(wish):
        return
    if set(_names(wish)) == {name}:
        for key in _WISHES:
            wish.pop(key, None)
        return
    named = wish["channels"]
    while name in named:
        named.remove(name)


def _owners(tree: Tree) -> Iterator[Tree]:
    yield from _subtables({"user": tree.get("user")})
    yield from _subtables(tree.get("teams"))


def _subtables(tables: object) -> Iterator[Tree]:
    for key in list(tables) if isinstance(tables, Mapping) else ():
        if isinstance(tables[key], dict):  # type: ignore[index] # it is a Mapping
            yield tables[key]  # type: ignore[index] # likewise


def _table(tree: Tree, key: str, *, above: bool = False) -> Tree:
    """Return the table of this name, made if need be; `above` others it has no heading."""
    if key not in tree:
        tree[key] = _new_table(tree, above=above)
    found: Tree = tree[key]
    return found


def _new_table(tree: Tree, *, above: bool) -> Mapping[str, object]:
    if not _is_written(tree):
        return {}
    import tomlkit
    from tomlkit.items import InlineTable

    if isinstance(tree, InlineTable):
        return tomlkit.inline_table()
    return tomlkit.table(is_super_table=above)


def _put(table: Tree, key: str, value: object) -> None:
    """Set a key; a new one stands below the others, above the comment on what follows."""
    if key in table or not _is_table(table):
        table[key] = value
        return
    from tomlkit.items import Comment, Whitespace

    body = table.value.body
    end = next((n for n in range(len(body), 0, -1) if body[n - 1][0] is not None), 0)
    trailing = [item for _, item in body[end:]]
    del body[end:]
    table[key] = value
    for item in trailing:
        if isinstance(item, Comment | Whitespace):  # what was deleted leaves a hole
            table.add(item)


def _is_table(tree: object) -> TypeGuard[Table]:
    if not _is_written(tree):
        return False
    from tomlkit.items import Table

    return isinstance(tree, Table)


def _item(table: Tree, value: object) -> object:
    """Return the value as it is to be written: a table in braces."""
    if not (_is_written(table) and isinstance(value, Mapping)):
        return value
    import tomlkit

    pairs = ", ".join(
        f"{key} = {tomlkit.item(v).as_string()}" for key, v in value.items()
    )
    return tomlkit.value(f"{{ {pairs} }}")


def _is_written(tree: object) -> bool:
    """Whether the tree is a file as it is written, not what it means."""
    return type(tree).__module__.startswith("tomlkit.")
