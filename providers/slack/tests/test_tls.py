"""Over TLS, as with Slack itself: the certificate is looked at, the time is bounded."""

import ssl

import attrs
import pytest

from tocsin import Ambiguous, RetryLater
from tocsin_slack import _transport
from tocsin_slack.testing import SlackDouble

# made for these tests, for 127.0.0.1, until 2120; its key opens nothing
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgL7GRHcqupuzaIBDk
iGWgtMP30uN4G1LV/7E3M7m+iQ6hRANCAAQ3IKziHn5GYHNlZmWijagXv8X9Uvas
tHFGPDNiM/ZaNW8sunA0dw40pTimV00pTxvldA/8VH5OskBHJexGTuwV
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBjDCCATGgAwIBAgIBATAKBggqhkjOPQQDAjATMREwDwYDVQQDDAhhIGRvdWJs
ZTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowEzERMA8GA1UEAwwI
YSBkb3VibGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ3IKziHn5GYHNlZmWi
jagXv8X9UvastHFGPDNiM/ZaNW8sunA0dw40pTimV00pTxvldA/8VH5OskBHJexG
TuwVo3QwcjAPBgNVHREECDAGhwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0P
AQH/BAQDAgGGMB0GA1UdDgQWBBSO/O4ca0VuT+s2e6ePMG0QWiZZtTAfBgNVHSME
GDAWgBSO/O4ca0VuT+s2e6ePMG0QWiZZtTAKBggqhkjOPQQDAgNJADBGAiEAv5Wu
+uvbceqR06/SbcSu694KI3jS4boXgF6ZySeqhIUCIQDdUGO73mhnjUJzR5czT7x4
cBdtOZBcHpGw3xQr9cgbyg==
-----END CERTIFICATE-----
"""


@pytest.fixture
def pem(tmp_path):
    path = tmp_path / "slack.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest.fixture
def secure_slack(pem):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    double = SlackDouble()
    server = double._server
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with double:
        yield double


@pytest.fixture
def secure_bot(secure_slack, bot):
    return attrs.evolve(bot, base_url=secure_slack.base_url.replace("http:", "https:"))


@pytest.fixture
def trusted(monkeypatch, pem):
    """Let the certificate be one that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    _transport._tls.cache_clear()
    yield
    _transport._tls.cache_clear()


@pytest.mark.usefixtures("trusted")
def test_a_trusted_certificate_lets_the_message_through(
    secure_slack, secure_bot, message, deliver
):
    deliver(secure_bot, message())

    assert len(secure_slack.messages) == 1


def test_any_other_certificate_stops_it_before_the_token_leaves(
    secure_slack, secure_bot, message, deliver
):
    with pytest.raises(RetryLater, match="certificate is not trusted"):
        deliver(secure_bot, message())

    assert secure_slack.requests == []


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name_is_refused(
    secure_slack, secure_bot, message, deliver
):
    elsewhere = secure_bot.base_url.replace("127.0.0.1", "localhost")

    with pytest.raises(RetryLater, match="certificate is not trusted"):
        deliver(attrs.evolve(secure_bot, base_url=elsewhere), message())

    assert secure_slack.requests == []


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_the_whole_time_is_bounded(secure_slack, secure_bot, message, deliver, fault):
    secure_slack.fail_next(fault)

    with pytest.raises(Ambiguous, match="time was up"):
        deliver(secure_bot, message(), timeout=1.0)
