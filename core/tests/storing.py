"""What the tests of the store share: how alerts get into it and out of it again."""

from tocsin.testing._store_contract._storing import (
    NOW,
    claim_one,
    claims,
    deliver,
    status,
    submission,
    submit,
)

__all__ = ["NOW", "claim_one", "claims", "deliver", "status", "submission", "submit"]
