"""A mail server on the loopback interface, for tests: `MailDouble`.

It needs ``tocsin-email[testing]``.
"""

from tocsin_email.testing._book import ReceivedMail, Stage
from tocsin_email.testing._double import MailDouble

__all__ = ["MailDouble", "ReceivedMail", "Stage"]
