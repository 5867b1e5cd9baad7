"""Accounts, markets and policies from which problems are made, and the problems."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from services.decision.clients.policy_document import read_policy
from services.decision.domain.account_problem import account_problem
from services.decision.domain.book import AccountBook, HoldingKind, Position, TaxWrapper
from services.decision.domain.instruments import Instrument
from services.decision.domain.market import Market
from services.decision.domain.prices import PriceSet, Quote
from services.decision.domain.problem import LotState
from services.kernel.errors import Invalid
from tests.decision.books import CLOSE, MORNING
from tests.decision.stages.world import a_policy

TODAY = MORNING.date()


def a_position(instrument_id, units, *, kind=HoldingKind.TRADED, acquired=date(2020, 1, 2), lots=True):
    lot = LotState(f"{instrument_id}-{kind}-1", acquired, Decimal(units), Decimal(units) * 50)
    return Position(instrument_id, kind, Decimal(units), (lot,) if lots else ())


def an_account(*positions, currency="USD", **changes):
    account = AccountBook(
        account_id="a1",
        household_id=None,
        custodian="custodian-a",
        currency=currency,
        tax_wrapper=TaxWrapper.TAXABLE,
        cash=Decimal(1000),
        reserved_cash=Decimal(0),
        realized=(),
        positions=positions,
        snapshot_id="snapshot-1",
        as_of_time=CLOSE,
    )
    return replace(account, **changes)


def a_market(as_of=CLOSE, instruments=(), currency="USD", **prices):
    prices = {"VTI": "100", "BND": "100", "AAPL": "100"} | prices
    quotes = {each: Quote(Decimal(price)) for each, price in prices.items() if price is not None}
    known = {each: Instrument(each, currency, Decimal(1)) for each in prices} | {
        each.instrument_id: each for each in instruments
    }
    return Market(PriceSet("prices-1", "sha256:c", "vendor-a", as_of, as_of, quotes), known)


def problem_of(account, policy=None, market=None):
    market = market or a_market(currency=account.currency)
    return account_problem(account, policy or read_policy(a_policy()), market, MORNING)


def holding(problem, instrument_id):
    (found,) = (each for each in problem.holdings if each.instrument_id == instrument_id)
    return found


def violations(account, policy=None, market=None):
    with pytest.raises(Invalid) as caught:
        problem_of(account, policy, market)
    return {each.field: each.description for each in caught.value.violations}


def with_rules(**sections):
    return read_policy(a_policy(**sections))
