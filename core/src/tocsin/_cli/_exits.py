from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a script learns from a command."""

    DONE = 0
    UNDELIVERED = 1
    MISUSED = 2
    SUPPRESSED = 3
    UNROUTED = 4
    INTERRUPTED = 130
    """128 and the number of the signal, as a shell has it."""


TABLE = """\b
Exit codes:
  0    done: delivered, or kept for later because that is what was wished
  1    not delivered (it failed, or waits for another try), or doctor found a problem
  2    wrong usage, or a configuration with mistakes
  3    suppressed: one too many of its kind within its wait; or silenced
  4    unrouted: no subscription lets it through to a channel
  130  interrupted by Ctrl-C
"""
