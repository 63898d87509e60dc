import pytest

from tocsin_slack._address import is_confidential


@pytest.mark.parametrize(
    "url",
    [
        "https://slack.com/api/",
        "https://hooks.slack.com/services/T/B/x",
        "http://127.0.0.1:8080/api/",
        "http://127.3.2.1/",
        "http://localhost/api/",
        "http://[::1]:80/",
    ],
)
def test_https_or_this_machine_is_confidential(url):
    assert is_confidential(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "slack.com/api",
        "http://slack.com/api/",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@example.com/",
        "https://user@slack.com/",
        "http://localhost.example.com/",
        "http://10.0.0.1/",
        "https:///path",
        "https://slack.com:port/",
        "http://[::1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
    ],
)
def test_anything_else_is_not(url):
    assert not is_confidential(url)
