"""Hypothesis strategies that several test files share."""

from __future__ import annotations

from hypothesis import strategies as st

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=300)
"""Any Unicode, lone surrogates and control characters among it."""

times = st.floats(1_700_000_000, 1_900_000_000)
"""Seconds since the epoch."""
