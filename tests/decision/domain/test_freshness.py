"""Prices and books that are too old are refused."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.decision.domain.freshness import PricesStale, SnapshotStale, check_ages
from services.decision.domain.policy import Policy
from tests.decision.books import MORNING
from tests.decision.domain.account_problems import a_market, an_account


def test_prices_and_books_are_fresh_at_exactly_the_greatest_age_and_not_beyond():
    policy = Policy({}, price_age_max=timedelta(hours=1), snapshot_age_max=timedelta(hours=2))
    prices = a_market(as_of=MORNING - timedelta(hours=1)).prices
    account = an_account(as_of_time=MORNING - timedelta(hours=2))

    check_ages(account, policy, prices, MORNING)
    moment = timedelta(microseconds=1)
    with pytest.raises(PricesStale):
        check_ages(account, policy, replace(prices, as_of_time=prices.as_of_time - moment), MORNING)
    with pytest.raises(PricesStale):
        check_ages(account, policy, replace(prices, as_of_time=MORNING + moment), MORNING)
    with pytest.raises(SnapshotStale):
        check_ages(replace(account, as_of_time=account.as_of_time - moment), policy, prices, MORNING)
