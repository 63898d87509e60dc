"""An alert becomes a message: the only importer of jinja2."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from tocsin._alert import Origin
from tocsin._attachment import Attachment
from tocsin._provider import Message
from tocsin._text import clean, clean_line, longest_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jinja2 import Environment, Template

    from tocsin._alert import Alert
    from tocsin._provider import Limits, Provider

MAX_RENDERED = 10_000_000
"""Characters that one template may print; one that prints more counts as failed."""

LATE_AFTER = timedelta(minutes=10)
"""A message that is rendered this long after the alert was raised says so."""


@attrs.frozen(kw_only=True)
class Circumstances:
    """What is known beside the alert when it is rendered."""

    now: datetime
    suppressed: int = 0
    suppressed_since: datetime | None = None
    note: str = ""
    """What else there is to say."""
    raised_at: datetime | None = None
    """When the alert was raised that this one says is over."""


_NAMED = 5  # attachments that are left out, by name
_REASON = 200  # characters of why a template failed


class _TooLong(Exception):  # noqa: N818 - it says what happened
    pass


def render(
    provider: type[Provider],
    alert: Alert,
    circumstances: Circumstances,
    *,
    overrides: str = "",
    limits: Limits | None = None,
    templates: Mapping[str, str] | None = None,
) -> Message:
    """Render the alert for a channel of this provider. It never fails.

    `overrides` is a folder; a file in it replaces the provider's template of that name.
    `limits` and `templates` hold instead of the provider's.
    """
    limits = limits or provider.limits
    templates = provider.templates if templates is None else templates
    alert = attrs.evolve(
        _cleaned(alert), created_at=alert.created_at or circumstances.now
    )
    notes = _notes(alert, circumstances)
    if alert.attachments and not provider.attaches:
        notes = (*notes, _left_out(alert))
        alert = attrs.evolve(alert, attachments=())
    message = _plain(alert, notes, limits, provider.escape)
    if not templates:
        return message
    try:
        parts = _parts(provider, message, overrides, limits, templates)
    except Exception as error:  # noqa: BLE001 - a template runs anyone's code
        note = f"A template failed ({_reason(error)}), so this is the plain form."
        return _plain(alert, (*notes, note), limits, provider.escape)
    return attrs.evolve(message, parts=parts)


def load_templates(provider: type[Provider], overrides: str) -> None:
    """Import what rendering by templates needs, before the first message."""
    _environment(_package(provider), overrides, provider.escape)


def _package(provider: type[Provider]) -> str:
    """Return the package that has templates; "" where only the operator has some."""
    return provider.__module__.partition(".")[0] if provider.templates else ""


def _cleaned(alert: Alert) -> Alert:
    attachments = [item for item in alert.attachments if isinstance(item, Attachment)]
    return attrs.evolve(
        alert,
        attachments=[attrs.evolve(a, name=clean_line(a.name)) for a in attachments],
        title=clean_line(alert.title) or "(no title)",
        kind=clean_line(alert.kind),
        key=clean(alert.key),
        text=clean(alert.text).strip("\n"),
        fields=_cleaned_fields(alert.fields),
        tags=tuple(map(clean_line, alert.tags)),
        url=clean_line(alert.url),
        origin=_cleaned_origin(alert.origin),
    )


def _cleaned_fields(fields: Mapping[str, str]) -> dict[str, str]:
    cleaned: dict[str, str] = {}
    for name, fact in fields.items():
        shown = clean_line(name)
        while shown in cleaned:  # two names that differ in what is not seen
            shown += "'"
        cleaned[shown] = clean(fact)
    return cleaned


def _cleaned_origin(origin: Origin) -> Origin:
    names = [field.name for field in attrs.fields(Origin) if field.name != "rank"]
    changes: dict[str, Any] = {
        name: clean_line(getattr(origin, name)) for name in names
    }
    return attrs.evolve(origin, **changes)


def _notes(alert: Alert, circumstances: Circumstances) -> tuple[str, ...]:
    notes = []
    if circumstances.suppressed:
        since = circumstances.suppressed_since
        when = f" since {_moment(since)}" if since else ""
        notes.append(f"{circumstances.suppressed:,} more like it suppressed{when}.")
    happened = alert.created_at or circumstances.now
    if circumstances.now - happened > LATE_AFTER:
        notes.append(f"Delivered late: it happened at {_moment(happened)}.")
    if circumstances.raised_at is not None:
        notes.append(f"It was raised at {_moment(circumstances.raised_at)}.")
    if circumstances.note:
        notes.append(clean_line(circumstances.note))
    return tuple(notes)


def _left_out(alert: Alert) -> str:
    names = [item.name for item in alert.attachments if isinstance(item, Attachment)]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f"Not attached: {', '.join(names[:_NAMED])}{more}."


def _context(alert: Alert) -> tuple[tuple[str, str], ...]:
    origin = alert.origin
    pairs = (
        ("Level", alert.level.value),
        ("Project", origin.project),
        ("Run", origin.run_name or origin.run),
        ("Team", origin.team),
        ("Host", origin.host),
        ("Rank", "" if origin.rank is None else str(origin.rank)),
        ("Time", _moment(alert.created_at) if alert.created_at else ""),
    )
    return tuple(pair for pair in pairs if pair[1])


def _moment(when: datetime) -> str:
    try:
        return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # at the ends of time
        return when.isoformat()


def _plain(
    alert: Alert, notes: tuple[str, ...], limits: Limits, escape: Callable[[str], str]
) -> Message:
    context = _context(alert)
    share = None if limits.text is None else limits.text // 3
    heading = f"[{alert.level.value}] {alert.title}"
    facts = "\n".join(f"{name}: {fact}" for name, fact in alert.fields.items())
    short_heading = _cut(heading, escape, share, limits)
    short_facts = _cut(facts, escape, share, limits)

    def body(text: str, facts: str = short_facts) -> str:
        place = " · ".join(value for name, value in context if name != "Level")
        paragraphs = (text, facts, alert.url, "\n".join(notes), place)
        return "\n\n".join(filter(None, paragraphs))

    def form(text: str) -> str:
        return f"{short_heading}\n\n{body(text)}"

    whole = body(alert.text, facts)
    return Message(
        alert=alert,
        title=escape(_cut(alert.title, escape, limits.title, limits)),
        body=_fitted(whole, alert.text, body, escape, limits),
        text=_fitted(f"{heading}\n\n{whole}", alert.text, form, escape, limits),
        notes=notes,
        context=context,
        attachments=tuple(
            item for item in alert.attachments if isinstance(item, Attachment)
        ),
    )


def _cut(
    text: str, escape: Callable[[str], str], limit: int | None, limits: Limits
) -> str:
    """Return as much of the text, not escaped, as fits once it is escaped."""
    if limit is None:
        return text
    return longest_fit(text, lambda cut: limits.measure(escape(cut)) <= limit, limit)


def _fitted(
    whole: str,
    text: str,
    around: Callable[[str], str],
    escape: Callable[[str], str],
    limits: Limits,
) -> str:
    """Escape the whole; where it does not fit, the text with short things around it."""
    limit = limits.text
    if limit is None or (
        len(whole) <= limit and limits.measure(escape(whole)) <= limit
    ):
        return escape(whole)
    inner = longest_fit(
        text, lambda cut: limits.measure(escape(around(cut))) <= limit, limit
    )
    return escape(_cut(around(inner), escape, limit, limits))


def _parts(
    provider: type[Provider],
    message: Message,
    overrides: str,
    limits: Limits,
    templates: Mapping[str, str],
) -> dict[str, str]:
    environment = _environment(_package(provider), overrides, provider.escape)
    values = {
        "alert": message.alert,
        "title": message.alert.title,
        "text": message.alert.text,
        "level": message.alert.level.value,
        "fields": message.alert.fields,
        "tags": message.alert.tags,
        "url": message.alert.url,
        "origin": message.alert.origin,
        "notes": message.notes,
        "context": message.context,
        "attachments": message.attachments,
    }
    return {
        part: _render_part(environment.get_template(name), part, values, limits)
        for part, name in templates.items()
    }


def _render_part(
    template: Template, part: str, values: Mapping[str, object], limits: Limits
) -> str:
    """Render one part; where it has a limit, cut the text, then the title, to meet it."""
    limit: int | None = {"title": limits.title, "text": limits.text}.get(part)
    whole = _run(template, values)
    if limit is None or limits.measure(whole) <= limit:
        return whole

    def fits(values: Mapping[str, object]) -> bool:
        return limits.measure(_run(template, values)) <= limit

    if not fits({**values, "text": ""}):  # then there is room for none of it
        values = {**values, "text": ""}
    for name in ("text", "title"):
        if fits(values):
            break
        values = {**values, name: _longest(values, name, fits, limit)}
    if not fits(values):
        raise _TooLong(f"{template.name} prints more than {limit} {limits.unit}")
    return _run(template, values)


def _longest(
    values: Mapping[str, object],
    name: str,
    fits: Callable[[Mapping[str, object]], bool],
    limit: int,
) -> str:
    return longest_fit(
        str(values[name]), lambda cut: fits({**values, name: cut}), limit
    )


def _run(template: Template, values: Mapping[str, object]) -> str:
    chunks: list[str] = []
    length = 0
    for chunk in template.generate(values):
        length += len(chunk)
        if length > MAX_RENDERED:
            raise _TooLong(
                f"{template.name} prints more than {MAX_RENDERED:,} characters"
            )
        chunks.append(chunk)
    return "".join(chunks).strip()


@functools.lru_cache(maxsize=64)
def _environment(
    package: str, overrides: str, escape: Callable[[str], str]
) -> Environment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    loaders: list[jinja2.BaseLoader] = []
    if overrides:
        loaders.append(jinja2.FileSystemLoader(overrides))
    if package:
        loaders.append(jinja2.PackageLoader(package))
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.finalize = _finalizer(escape)
    return environment


def _finalizer(escape: Callable[[str], str]) -> Callable[..., object]:
    """Escape each printed value: as HTML in ``*.html``, with the provider's own elsewhere."""
    import jinja2
    import markupsafe

    @jinja2.pass_context
    def finalize(context: jinja2.runtime.Context, value: object) -> object:
        if hasattr(value, "__html__") or isinstance(value, jinja2.Undefined):
            return value
        if (context.name or "").endswith(".html"):
            return value  # jinja2 escapes it
        return markupsafe.Markup(escape(str(value)))  # noqa: S704 - just escaped

    return finalize


def _reason(error: Exception) -> str:
    name = getattr(error, "name", None) or getattr(error, "filename", None)
    line = getattr(error, "lineno", None)
    place = f" in {name}" if name else ""
    at = f", line {line}" if line else ""
    return clean_line(f"{type(error).__name__}{place}{at}: {error}")[:_REASON]
