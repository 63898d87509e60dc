"""Email for Tocsin: mail over SMTP."""

from tocsin_email._provider import Email

__all__ = ["Email"]
