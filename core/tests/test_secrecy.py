from __future__ import annotations

import time

import pytest

from tocsin._secrecy import blotted


def _untouched(*texts):
    return [(text, text) for text in texts]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("https://ada:hunter22@example.org/x", "https://…@example.org/x"),
        (
            "https://hooks.slack.com/services/T1/B2/abc",
            "https://hooks.slack.com/services/…",
        ),
        ("discord.com/api/webhooks/77/a-b_c", "discord.com/api/webhooks/…"),
        ("xoxb-1234-5678-abcd", "…"),
        ("ghp_0123456789abcdefghij", "…"),
        ("hf_abcdefghijklmnopqrst", "…"),
        ("AKIA0123456789ABCDEF", "…"),
        ("Bearer abcdefgh.ijkl", "Bearer …"),
        ("password=hunter22&x=1", "password=…&x=1"),
        ("api_key=abcd1234, x", "api_key=…, x"),
        ('connect(token="abcd1234", x=1)', 'connect(token="…", x=1)'),
        ("{'password': 'hunter 22', 'x': 1}", "{'password': '…', 'x': 1}"),
        ('API_TOKEN = "abcd1234"', 'API_TOKEN = "…"'),
        ('{"secret": "abcd1234"}', '{"secret": "…"}'),
        ("redis://:hunter22@example.org", "redis://…@example.org"),
        ("password: hunter22", "password: …"),
        ("secret = abcd1234", "secret = …"),
        ("xapp-1-A0B1-abcdef", "…"),
        ("npm_abcdefghijklmnopqrstuv", "…"),
        ("Authorization: token abcdefgh1234", "Authorization: token …"),
        ("AccountKey=abcd+1234==;x", "AccountKey=…;x"),
        (
            "https://example.org/x?sv=1&sig=abcd%2B1234&se=2",
            "https://example.org/x?sv=1&sig=…&se=2",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----!", "…!"),
        *_untouched(
            "unexpected token: <html>",
            "tokenizer='bert-base'",
            "ratio 3:4 at http://example.org:80/",
            "the token is wrong",
        ),
    ],
)
def test_what_looks_like_a_secret(text, left):
    """It is blotted by its form, or by the name that it stands with; words are not."""
    assert blotted(text) == left


def test_what_the_environment_calls_a_secret(monkeypatch):
    """A value goes wherever it stands; a short one may be any word."""
    monkeypatch.setenv("SMTP_PASSWORD", "canary 9c/1d")
    monkeypatch.setenv("OTHER_TOKEN", "short")
    monkeypatch.setenv("HARMLESS", "harmless-value")
    text = "a canary 9c/1d, canary%209c%2F1d, short, harmless-value"

    assert blotted(text) == "a …, …, short, harmless-value"


def test_the_environment_is_read_anew(monkeypatch):
    """What is set later is known then."""
    assert blotted("canary-9c1d") == "canary-9c1d"
    monkeypatch.setenv("X_SECRET", "canary-9c1d")
    assert blotted("canary-9c1d") == "…"


def test_it_takes_no_time():
    """Fifty thousand characters that nearly look like a token are a moment's work."""
    began = time.perf_counter()
    blotted("eyJ-" * 12_500)

    assert time.perf_counter() - began < 2
