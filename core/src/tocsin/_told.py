"""Exceptions that were told already: one is told once, whoever else meets it."""

from __future__ import annotations

import contextlib


def mark(error: BaseException) -> None:
    """Note that people are told of an exception."""
    with contextlib.suppress(Exception):  # it may refuse attributes
        error.__tocsin_told__ = True  # type: ignore[attr-defined]


def is_told(error: BaseException) -> bool:
    """Say whether people are told of it."""
    return getattr(error, "__tocsin_told__", False) is True
