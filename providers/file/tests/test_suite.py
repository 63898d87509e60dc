"""A file does what every provider does, but that it holds text, which calls nobody."""

import json

from tocsin.testing import LocalProviderSuite
from tocsin_file import File


class TestFile(LocalProviderSuite):
    provider = File
    broadcasts = ()  # programs read it
    golden = "file.json"

    def table(self):
        return {"path": str(self.place / "alerts.jsonl")}

    def lines(self):
        file = self.place / "alerts.jsonl"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line]

    def received(self):
        return [
            {
                "title": line["title"],
                "text": line["text"],
                "rest": "\n".join(
                    [*line["fields"].values(), *line["tags"], *line["notes"]]
                ),
            }
            for line in self.lines()
        ]

    def payload(self):
        return self.lines()[-1]
