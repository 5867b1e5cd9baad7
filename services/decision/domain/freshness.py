"""How old prices and books may be before nothing is decided on them."""

from datetime import datetime, timedelta

from services.decision.domain.book import AccountBook
from services.decision.domain.policy import Policy
from services.decision.domain.prices import PriceSet
from services.kernel.canonical import rfc3339
from services.kernel.errors import Rejected


class PricesStale(Rejected):
    """The prices are older than the policy allows."""

    reason = "PRICES_STALE"


class SnapshotStale(Rejected):
    """The account's book is older than the policy allows."""

    reason = "SNAPSHOT_STALE"


def check_ages(account: AccountBook, policy: Policy, prices: PriceSet, as_of_time: datetime) -> None:
    """Check that the inputs are as fresh as the policy asks; exactly the greatest age is fresh.

    Raises:
        PricesStale: The prices are too old, or from after `as_of_time`.
        SnapshotStale: The book is.
    """
    if not timedelta(0) <= as_of_time - prices.as_of_time <= policy.price_age_max:
        raise PricesStale(
            f"prices must be at most {_seconds(policy.price_age_max)} s old at {rfc3339(as_of_time)}, "
            f"were of {rfc3339(prices.as_of_time)}",
            price_set_id=prices.price_set_id,
        )
    if not timedelta(0) <= as_of_time - account.as_of_time <= policy.snapshot_age_max:
        raise SnapshotStale(
            f"the book must be at most {_seconds(policy.snapshot_age_max)} s old at {rfc3339(as_of_time)}, "
            f"was of {rfc3339(account.as_of_time)}",
            snapshot_id=account.snapshot_id,
        )


def _seconds(age: timedelta) -> int:
    return age // timedelta(seconds=1)
