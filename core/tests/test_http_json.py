import json

import pytest

from tocsin import http
from tocsin.testing import HttpDouble

SERVICE = http.Service("Double")


@pytest.fixture
def double():
    with HttpDouble() as double:
        yield double


def test_json_is_no_longer_than_it_need_be(double):
    """Services count the bytes that they are sent: an é is two of them, and not six."""
    SERVICE.post(double.url, json={"a": "é🦉", "b": [1, 2]}, timeout=5.0)

    (request,) = double.requests
    assert request.body == '{"a":"é🦉","b":[1,2]}'.encode()
    assert request.headers["content-type"] == "application/json; charset=utf-8"


def test_half_a_character_is_spelt_out(double):
    """A lone surrogate is no UTF-8; in JSON it has a spelling of its own."""
    SERVICE.post(double.url, json={"a": "x\ud800"}, timeout=5.0)

    (request,) = double.requests
    assert json.loads(request.body) == {"a": "x\ud800"}


def test_json_that_is_none(double):
    """Not a number is not JSON: a mistake in the provider, and nothing is sent."""
    with pytest.raises(ValueError, match="JSON"):
        SERVICE.post(double.url, json={"a": float("nan")}, timeout=5.0)

    assert not double.requests
