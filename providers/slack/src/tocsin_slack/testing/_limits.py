"""What Slack accepts in a message, as its documentation has it.

It shares nothing with the provider, which it is there to judge. Lengths are UTF-16 units,
the strictest of what Slack's "characters" may be.
https://docs.slack.dev/reference/block-kit/blocks
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MAX_TEXT = 40_000
"""Longer texts are refused; Slack advises 4,000."""

MAX_EDITED_TEXT = 4000
"""Longer ones are refused by chat.update:
https://docs.slack.dev/reference/methods/chat.update#errors"""

MAX_BLOCKS_TEXT = 12_000
"""All texts of all blocks together; Slack does not document its own figure."""

_TS = re.compile(r"\d+\.\d+")
_MARKUP = re.compile(r"<[^<>]*>?|>|&(?!amp;|lt;|gt;)")


@attrs.frozen
class Violation:
    """One reason for which Slack refuses a message."""

    code: str
    """Slack's error code: ``invalid_blocks``, …"""
    where: str
    """The place in the payload: ``blocks[0].text``."""
    problem: str


def violations(payload: Mapping[str, Any]) -> list[Violation]:
    """Return every reason for which Slack would refuse this message.

    One with a `ts` is an edit of the message that has it.
    """
    return [
        *_of_whole(payload),
        *(_of_edit(payload) if "ts" in payload else _of_reply(payload)),
        *_of_blocks(payload.get("blocks", []), "blocks"),
        *_of_attachments(payload.get("attachments", [])),
    ]


def live_markup(payload: Mapping[str, Any]) -> list[str]:
    """Return whatever in the message Slack would not show as the text that it is.

    These are mentions, links, broadcasts (``<…>``), and each ``<``, ``>`` or ``&`` that
    is not escaped.
    """
    return [found for text in _live_texts(payload) for found in _MARKUP.findall(text)]


def _live_texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _live_texts(item)
    if not isinstance(value, dict) or value.get("type") == "plain_text":
        return
    for name, item in value.items():
        if name in {"text", "fallback"} and isinstance(item, str):
            yield item
        else:
            yield from _live_texts(item)


def _of_whole(payload: Mapping[str, Any]) -> Iterator[Violation]:
    yield from _of_fallback(
        payload.get("text", ""), MAX_EDITED_TEXT if "ts" in payload else MAX_TEXT
    )
    if not any(map(payload.get, ("text", "blocks", "attachments"))):
        yield Violation("no_text", "text", "is missing, as are blocks and attachments")
    if not _is_unicode(payload):
        yield Violation("invalid_json", "", "holds a lone surrogate")
    total = sum(map(length, _block_texts(payload)))
    if total > MAX_BLOCKS_TEXT:
        yield Violation("msg_blocks_too_long", "", f"{total} of {MAX_BLOCKS_TEXT}")


def _of_fallback(text: object, most: int) -> Iterator[Violation]:
    if not isinstance(text, str):
        yield Violation("invalid_arguments", "text", "is no string")
    elif length(text) > most:
        yield Violation("msg_too_long", "text", f"{length(text)} of {most}")


def _of_reply(payload: Mapping[str, Any]) -> Iterator[Violation]:
    thread = payload.get("thread_ts")
    if "thread_ts" in payload and not _is_ts(thread):
        # Slack takes a number, and makes no reply of it:
        # github.com/slackapi/python-slack-sdk/issues/840
        yield Violation("invalid_arguments", "thread_ts", "is no ts in a string")
    if payload.get("reply_broadcast") and not thread:
        yield Violation("invalid_arguments", "reply_broadcast", "without thread_ts")


def _of_edit(payload: Mapping[str, Any]) -> Iterator[Violation]:
    if payload.get("reply_broadcast"):
        code = "no_dual_broadcast_content_update"
        yield Violation(code, "reply_broadcast", "beside other content")
    for name in sorted({"thread_ts", "client_msg_id"} & set(payload)):
        yield Violation("invalid_arguments", name, "is not chat.update's")


def _is_ts(value: object) -> bool:
    return isinstance(value, str) and bool(_TS.fullmatch(value))


def _is_unicode(value: object) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return all(map(_is_unicode, value.values()))
    return all(map(_is_unicode, value)) if isinstance(value, list) else True


def _block_texts(payload: Mapping[str, Any]) -> Iterator[str]:
    for holder in (payload, *_items(payload.get("attachments"))):
        if isinstance(holder, dict):
            yield from _live_texts(holder.get("blocks", []))


def _of_attachments(attachments: object) -> Iterator[Violation]:
    if not isinstance(attachments, list):
        yield Violation("invalid_attachments", "attachments", "is no list")
        return
    if len(attachments) > 100:  # noqa: PLR2004 - docs.slack.dev: legacy attachments
        yield Violation("too_many_attachments", "attachments", "more than 100")
    for position, attachment in enumerate(attachments):
        yield from _of_attachment(attachment, f"attachments[{position}]")


def _of_attachment(attachment: object, where: str) -> Iterator[Violation]:
    if not isinstance(attachment, dict):
        yield Violation("invalid_attachments", where, "is no object")
        return
    if "blocks" not in attachment:
        if not (attachment.get("text") or attachment.get("fallback")):
            yield Violation("invalid_attachments", where, "has nothing to show")
        return
    for legacy in sorted(set(attachment) - {"blocks", "color", "fallback"}):
        yield Violation("invalid_attachments", f"{where}.{legacy}", "beside blocks")
    if not attachment["blocks"]:
        yield Violation("invalid_attachments", f"{where}.blocks", "is empty")
    yield from _of_blocks(attachment["blocks"], f"{where}.blocks")


def _of_blocks(blocks: object, where: str) -> Iterator[Violation]:
    if not isinstance(blocks, list):
        yield _invalid(where, "is no list")
        return
    if len(blocks) > 50:  # noqa: PLR2004 - docs.slack.dev/reference/block-kit/blocks
        yield _invalid(where, f"{len(blocks)} of 50 blocks")
    for position, block in enumerate(blocks):
        yield from _of_block(block, f"{where}[{position}]")


def _of_block(block: object, where: str) -> Iterator[Violation]:
    kind = block.get("type") if isinstance(block, dict) else None
    judge = _BLOCKS.get(kind) if isinstance(kind, str) else None
    if judge is None or not isinstance(block, dict):
        yield _invalid(where, f"has the unknown type {kind!r}")
        return
    yield from judge(block, where)


def _of_section(block: Mapping[str, Any], where: str) -> Iterator[Violation]:
    if "text" not in block and "fields" not in block:
        yield _invalid(where, "has neither text nor fields")
    if "text" in block:
        yield from _of_text(block["text"], f"{where}.text", 3000)
    if "fields" in block:
        yield from _of_count(block["fields"], f"{where}.fields", 10)
        for position, field in enumerate(_items(block["fields"])):
            yield from _of_text(field, f"{where}.fields[{position}]", 2000)
    if "accessory" in block:
        yield from _of_button(block["accessory"], f"{where}.accessory")


def _of_context(block: Mapping[str, Any], where: str) -> Iterator[Violation]:
    elements = block.get("elements")
    yield from _of_count(elements, f"{where}.elements", 10)
    for position, element in enumerate(_items(elements)):
        at = f"{where}.elements[{position}]"
        if isinstance(element, dict) and element.get("type") == "image":
            yield from _of_image(element, at)
        else:
            yield from _of_text(element, at, 3000)


def _of_header(block: Mapping[str, Any], where: str) -> Iterator[Violation]:
    yield from _of_text(block.get("text"), f"{where}.text", 150, {"plain_text"})


def _of_actions(block: Mapping[str, Any], where: str) -> Iterator[Violation]:
    elements = block.get("elements")
    yield from _of_count(elements, f"{where}.elements", 25)
    for position, element in enumerate(_items(elements)):
        yield from _of_button(element, f"{where}.elements[{position}]")


def _of_button(button: object, where: str) -> Iterator[Violation]:
    if not isinstance(button, dict) or button.get("type") != "button":
        yield _invalid(where, "is no button")
        return
    yield from _of_text(button.get("text"), f"{where}.text", 75, {"plain_text"})
    for name, most in (("url", 3000), ("value", 2000), ("action_id", 255)):
        yield from _of_length(button.get(name, ""), f"{where}.{name}", most)
    if not re.match(r"https?://[^\s/]", button.get("url", "https://-")):
        yield _invalid(f"{where}.url", "is no web address")


def _of_image(image: Mapping[str, Any], where: str) -> Iterator[Violation]:
    for name, most in (("image_url", 3000), ("alt_text", 2000)):
        if not image.get(name):
            yield _invalid(f"{where}.{name}", "is missing")
        yield from _of_length(image.get(name, ""), f"{where}.{name}", most)


def _of_rich_text(block: Mapping[str, Any], where: str) -> Iterator[Violation]:
    yield from _of_count(block.get("elements"), f"{where}.elements", 1000)


def _of_divider(_: Mapping[str, Any], _where: str) -> Iterator[Violation]:
    yield from ()


_BLOCKS: dict[str, Callable[[Mapping[str, Any], str], Iterator[Violation]]] = {
    "actions": _of_actions,
    "context": _of_context,
    "divider": _of_divider,
    "header": _of_header,
    "image": _of_image,
    "rich_text": _of_rich_text,
    "section": _of_section,
}


def _of_text(
    text: object,
    where: str,
    most: int,
    types: frozenset[str] | set[str] = frozenset({"mrkdwn", "plain_text"}),
) -> Iterator[Violation]:
    if not isinstance(text, dict) or text.get("type") not in types:
        yield _invalid(where, f"is no text object of {sorted(types)}")
        return
    if not text.get("text"):
        yield _invalid(where, "is empty")
    yield from _of_length(text.get("text"), where, most)


def _of_length(text: object, where: str, most: int) -> Iterator[Violation]:
    if not isinstance(text, str):
        yield _invalid(where, "is no string")
    elif length(text) > most:
        yield _invalid(where, f"{length(text)} of {most} characters")


def _of_count(items: object, where: str, most: int) -> Iterator[Violation]:
    if not isinstance(items, list) or not 0 < len(items) <= most:
        yield _invalid(where, f"is no list of 1 to {most}")


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _invalid(where: str, problem: str) -> Violation:
    in_attachment = where.startswith("attachments")
    return Violation(
        "invalid_attachments" if in_attachment else "invalid_blocks", where, problem
    )


def length(text: str) -> int:
    """Return the length in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
