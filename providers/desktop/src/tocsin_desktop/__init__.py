"""Desktop notifications for Tocsin: for the person at this machine."""

from tocsin_desktop._provider import Desktop

__all__ = ["Desktop"]
