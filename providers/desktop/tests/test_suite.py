"""A desktop does what every provider does, by a notify-send that takes down its arguments."""

from html import unescape

import pytest

from tocsin.testing import LocalProviderSuite
from tocsin_desktop import Desktop


class TestDesktop(LocalProviderSuite):
    provider = Desktop
    broadcasts = ()  # one person sees it
    golden = "desktop.json"

    @pytest.fixture(autouse=True)
    def _desktop(self, linux):
        self.programs = linux

    def table(self):
        return {"app_name": "Tocsin"}

    def received(self):
        # as notify-send and the desktop show it: the limit is ours, and not of the markup
        return [
            {
                "title": words[-2],
                "text": unescape(words[-1].replace("\\\\", "\\")),
            }
            for words in self.runs()
        ]

    def payload(self):
        return self.runs()[-1]

    def runs(self):
        return [words for words, *_ in self.programs.runs("notify-send")]
