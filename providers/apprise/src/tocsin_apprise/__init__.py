"""The services of Apprise for Tocsin, each by its Apprise URL."""

from tocsin_apprise._provider import Apprise

__all__ = ["Apprise"]
