"""Apprise does what every provider does, by its service for JSON.

Not `ProviderSuite`: what a service's statuses mean, Apprise says in its log alone, and by its
own rules, and it keeps no time for the whole attempt (see test_sender.py).
"""

import json

import pytest

from tocsin.testing import HttpDouble, LocalProviderSuite
from tocsin_apprise import Apprise


class TestApprise(LocalProviderSuite):
    provider = Apprise
    broadcasts = ()  # the JSON is a program's: what a service makes of it is its own affair
    golden = "apprise.json"
    markup = (
        *LocalProviderSuite.markup,
        r"a\nb <b>&amp;</b> *x* :smile: ${HOME} \u0041",  # what Apprise reads elsewhere
    )

    @pytest.fixture(autouse=True)
    def _service(self):
        with HttpDouble() as self.double:
            yield

    def table(self):
        host = self.double.url.removeprefix("http://")
        return {"url": f"json://ada:{self.secret}@{host}/hook"}

    def received(self):
        return [
            {"title": body["title"], "text": body["message"]} for body in self.bodies()
        ]

    def payload(self):
        return self.bodies()[-1]

    def bodies(self):
        return [json.loads(request.body) for request in self.double.requests]
