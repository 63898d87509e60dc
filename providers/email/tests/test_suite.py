"""Email does what every provider does."""

import pytest

from tocsin.testing import LocalProviderSuite
from tocsin_email import Email
from tocsin_email.testing import MailDouble


class TestEmail(LocalProviderSuite):
    provider = Email
    broadcasts = ()  # a mail calls nobody but its recipients

    @pytest.fixture(autouse=True)
    def _server(self):
        with MailDouble(username="tocsin", password=self.secret) as self.mail:
            yield

    def table(self):
        return {
            "to": ["ada@example.org"],
            "sender": "Tocsin <tocsin@example.org>",
            "host": self.mail.host,
            "port": self.mail.port,
            "ca_file": self.mail.ca_file,
            "username": "tocsin",
            "password": self.secret,
        }

    def received(self):
        # the level before the text is not counted: the limit is ours, and no server's
        return [
            {
                "title": one.message["Subject"],
                "text": one.text.partition("] ")[2].strip(),
            }
            for one in self.mail.messages
        ]
