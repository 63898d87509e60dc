"""Slack does what every provider does, by either of its ways."""

import html

from tocsin.testing import ProviderSuite, Reply
from tocsin_slack import Slack
from tocsin_slack.testing import live_markup

SHOWN_AS_WRITTEN = (
    "<b>bold</b> <script>x</script> &amp; &lt;",
    "<https://evil.example|here> [a link](https://evil.example)",
    "# heading - list 1. list",
)


def texts(payload):
    """Return every text of a payload, in its order."""
    if isinstance(payload, list):
        return [text for part in payload for text in texts(part)]
    if not isinstance(payload, dict):
        return []
    own = [payload["text"]] if isinstance(payload.get("text"), str) else []
    return own + [text for value in payload.values() for text in texts(value)]


class SlackSuite(ProviderSuite):
    provider = Slack
    markup = SHOWN_AS_WRITTEN  # *bold* and `code` keep their meaning

    def parts(self, request):
        payload = request.json()
        layout = [payload.get("blocks", []), payload.get("attachments", [])]
        return {f"text {n}": text for n, text in enumerate(texts(layout))}

    def read(self, parts):
        return html.unescape("\n".join(parts.values()))

    def called(self):
        return live_markup(self.messages()[-1].json())


class TestBot(SlackSuite):
    golden = "bot.json"

    def table(self):
        base_url = f"{self.double.url}/api/"
        return {"token": self.secret, "channel": "C0ALERTS", "base_url": base_url}

    def answer(self, request):
        told = {"channel": "C0ALERTS", "ts": "1.2", "message": {}}
        file = {"upload_url": f"{self.double.url}/upload", "file_id": "F1"}
        return Reply(json={"ok": True, **told, **file})

    def is_message(self, request):
        return request.path.endswith("chat.postMessage")

    def payload(self):
        payload = super().payload()
        payload["body"]["client_msg_id"] = "made of the delivery's id"
        return payload


class TestWebhook(SlackSuite):
    golden = "webhook.json"
    is_secret_in_url = True

    def table(self):
        return {"webhook_url": f"{self.double.url}/services/T/B/{self.secret}"}

    def answer(self, request):
        return Reply(body=b"ok")
