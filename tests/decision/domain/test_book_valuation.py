"""What an account is worth at a set of prices, and how far it is from its targets."""

from decimal import Decimal

from services.decision.domain.book import accounts, valued
from services.decision.domain.book.snapshot import Snapshot
from services.decision.domain.prices import PriceSet, Quote
from tests.decision.books import CLOSE, an_account, columns

SNAPSHOT = Snapshot("snapshot-1", "custodian-a", CLOSE, "sha256:0", 1, 1, 1, CLOSE)


def opened(account):
    return next(iter(accounts(columns(account), SNAPSHOT, 0)))


def prices(**known):
    quotes = {each: Quote(Decimal(price)) for each, price in known.items()}
    return PriceSet("prices-1", "sha256:0", "vendor-a", CLOSE, CLOSE, quotes)


MIXED = opened(
    an_account(cash=100).holding("VTI", units=6).holding("BND", units=1).holding("BND", units=2, kind="HOLDING_LOCKED")
)


def test_everything_counts_in_the_value_and_the_weights_sum_to_one_with_cash():
    found = valued(MIXED, prices(VTI=100, BND=100), {"VTI": Decimal("0.7"), "BND": Decimal("0.2")})

    assert found.value == Decimal("1000.00")
    # By instrument, then kind: locked before traded.
    assert list(found.weights) == [Decimal("0.2"), Decimal("0.1"), Decimal("0.6")]
    assert found.drift == Decimal("0.1")


def test_a_target_that_is_not_held_drifts_too():
    found = valued(MIXED, prices(VTI=100, BND=100), {"AAPL": Decimal(1)})

    assert found.drift == 1


def test_an_account_on_its_targets_does_not_drift():
    found = valued(MIXED, prices(VTI=100, BND=100), {"VTI": Decimal("0.6"), "BND": Decimal("0.3")})

    assert found.drift == 0


def test_a_missing_price_leaves_value_and_weights_unknown():
    found = valued(MIXED, prices(VTI=100), {"VTI": Decimal(1)})

    assert (found.value, found.weights, found.drift, found.prices) == (None, (), None, {"VTI": 100})
    assert valued(MIXED, None, None).value is None


def test_an_account_without_value_has_no_weights():
    empty, overdrawn = opened(an_account(cash=0)), opened(an_account(cash=-1))

    assert (valued(empty, None, {}).value, valued(empty, None, {}).weights) == (0, ())
    assert (valued(overdrawn, None, {}).value, valued(overdrawn, None, {}).drift) == (-1, None)
