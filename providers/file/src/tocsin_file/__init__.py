"""JSON lines for Tocsin: one for each delivery, appended to a file."""

from tocsin_file._provider import File

__all__ = ["File"]
