import pytest

from tocsin import Ambiguous, Rejected
from tocsin_slack._clients import sealed


def fail_over(error):
    raise error from OSError("a foreign secret")


def test_a_failure_leaves_its_history_behind():
    failure = Rejected("no", remedy="do this")

    with pytest.raises(Rejected) as raised:
        sealed(lambda: fail_over(failure))

    assert raised.value is failure
    assert raised.value.__cause__ is raised.value.__context__ is None
    assert "fail_over" not in [entry.name for entry in raised.traceback]


def test_what_the_sdk_did_not_expect_may_have_arrived():
    with pytest.raises(Ambiguous, match="KeyError") as raised:
        sealed(lambda: fail_over(KeyError("a foreign secret")))

    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None
