"""Hypothesis strategies that several test files share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import attrs
from hypothesis import strategies as st

from tocsin import Alert, AlertLevel, Attachment, Ending, Origin, RunState
from tocsin._digest import Listed

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)
"""Any Unicode, lone surrogates and control characters among it."""


def joined(text: str) -> str:
    """Return the text with each pair of surrogates as the one character it stands for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


any_word = st.text(st.characters(codec=None, exclude_categories=()), max_size=20).map(
    joined
)
"""A short text of any Unicode, as JSON keeps it."""

times = st.floats(1_700_000_000, 1_900_000_000)
"""Seconds since the epoch."""

levels = st.sampled_from(AlertLevel)

origins = st.builds(
    Origin,
    user=any_word,
    team=any_word,
    project=any_word,
    run=any_word,
    run_name=any_word,
    job=any_word,
    host=any_word,
    rank=st.none() | st.integers(0, 10_000),
    group=any_word,
)

endings = st.builds(
    Ending,
    state=st.sampled_from([state for state in RunState if state.value != "running"]),
    exit_code=st.none() | st.integers(0, 255),
    signal=st.sampled_from(["", "SIGKILL", "SIGTERM", "SIGSEGV"]) | any_word,
    has_dumped_core=st.booleans(),
    reason=any_word,
    message=any_word,
    traceback=any_word,
    output=any_word,
    seconds=st.none() | st.floats(0, 1e7),
    metrics=st.dictionaries(any_word, any_word, max_size=3),
    is_alone=st.booleans(),
)

moments = st.datetimes(
    datetime(1971, 1, 1),  # noqa: DTZ001 - the zone is drawn beside it
    datetime(2999, 1, 1),  # noqa: DTZ001 - likewise
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=-11)), timezone(timedelta(hours=5, minutes=45))]
    ),
)

alerts = st.builds(
    Alert,
    any_text.map(joined),
    any_text.map(joined),
    levels,
    st.floats(0, 1e6),
    kind=any_word,
    key=any_word,
    tags=st.lists(any_word, max_size=3),
    fields=st.dictionaries(any_word, any_word, max_size=3),
    url=any_word,
    origin=origins,
    id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", fullmatch=True),
    created_at=moments,
    ending=st.none() | endings,
)
"""Any alert without attachments."""


class Zeros(bytes):
    """So many bytes that the report of a failure had better not print them."""

    __slots__ = ()

    def __repr__(self):
        return f"Zeros({len(self)})"


_SIZES = [0, 1, 9, 4_000_000, 6_000_000, 10_485_760, 10_485_761]

attachments = st.builds(
    Attachment, any_word, st.sampled_from([Zeros(size) for size in _SIZES])
)
"""From an empty one to one that no alert may carry."""

listed = st.builds(
    Listed,
    st.builds(
        lambda alert, attached, created_at: attrs.evolve(
            alert, attachments=attached, created_at=created_at
        ),
        alerts,
        st.lists(attachments, max_size=2),
        st.none() | moments,
    ),
    st.integers(0, 10_000),
)
"""Any alert that waits for a digest."""

zones = st.sampled_from(
    [
        "America/New_York",
        "America/Sao_Paulo",  # changed its clocks at midnight
        "Asia/Kolkata",
        "Australia/Lord_Howe",  # changes them by half an hour
        "Europe/Berlin",
        "Pacific/Apia",  # left out a day
        "UTC",
    ]
)
