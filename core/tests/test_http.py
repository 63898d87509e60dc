import pytest

from tocsin import Rejected, http
from tocsin.testing import HttpDouble, Reply


@pytest.mark.parametrize(
    "where", ["/hooks/1/{}", "/hooks?token={}&wait=true", "/bot{}/send"]
)
def test_a_service_that_repeats_a_part_of_the_address(where):
    """A webhook's address is the secret: a part of it is as good to whoever reads it."""
    token = "canary-7f3a9c51e2d84b06"
    words = Reply(400, json={"message": f"no such hook: {where.format(token)}"})
    service = http.Service("Hooks", said=["message"])

    with HttpDouble(lambda _: words) as double, pytest.raises(Rejected) as caught:
        service.post(double.url + where.format(token), json={}, timeout=10.0)

    assert token not in caught.value.reason
    assert caught.value.reason.startswith("Hooks answered HTTP 400: no such hook: /")
