"""Which dividends are qualified: the published examples, and what it does to the year's tax."""

from datetime import date
from decimal import Decimal

import pytest

from services.decision.domain.tax.assessment.history import Dividend, History, Split, TaxAccount
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from tests.decision.domain.tax.assessment.histories import ASSET, bought, sold

ACCOUNTS = (TaxAccount("A"), TaxAccount("IRA", sheltered=True))


def paid(day, amount, account="A"):
    return Dividend(f"d-{day}-{account}", date.fromisoformat(day), account, ASSET, Decimal(amount))


@pytest.mark.parametrize(
    ("acquired", "gone", "held_days", "qualified"),
    [
        # IRS Publication 550, Qualified Dividends, examples 1 and 2: 5,000 shares, 10 cents each, ex-dividend 16 July.
        ("2025-07-09", "2025-08-12", 34, 0),
        ("2025-07-15", "2025-09-16", 61, 500),
        # A day less is not enough.
        ("2025-07-15", "2025-09-13", 60, 0),
        # The window has 121 days and begins on 17 May.
        ("2020-07-15", "2025-11-01", 121, 500),
        ("2025-05-16", "2025-07-16", 61, 500),
        ("2025-05-17", "2025-07-16", 60, 0),
    ],
)
def test_more_than_60_of_the_121_days_around_the_ex_dividend_date(acquired, gone, held_days, qualified):
    history = History(
        ACCOUNTS, (bought("l", acquired, "A", "5000", "50000"),), (sold("s", gone, "A", "5000", "50000"),),
        dividends=(paid("2025-07-16", "500"),),
    )  # fmt: skip

    (found,) = UnitedStatesYear().assess(history, 2025).dividends
    assert (found.held_days, found.qualified) == (held_days, qualified)


def test_each_unit_counts_by_itself_and_those_bought_on_the_day_get_nothing():
    history = History(
        ACCOUNTS,
        (bought("l1", "2025-01-02", "A", "30", "300"), bought("l2", "2025-07-10", "A", "10", "100"),
         bought("l3", "2025-07-16", "A", "60", "600")),
        (sold("s", "2025-07-20", "A", "10", "100", ("l2",)),),
        splits=(Split(date(2025, 10, 1), ASSET, 2, 1),),
        dividends=(paid("2025-07-16", "40"),),
    )  # fmt: skip
    got = UnitedStatesYear().assess(history, 2025)

    assert (got.amount("qualified_dividends"), got.amount("ordinary_dividends")) == (30, 10)


def test_qualified_dividends_are_taxed_like_long_term_gain_and_losses_do_not_meet_them():
    rules = UnitedStatesYear(ordinary_income=Decimal(300_000))
    history = History(
        ACCOUNTS, (bought("l", "2024-01-02", "A", "10", "9000"),), (sold("s", "2025-12-02", "A", "10", "1000"),),
        dividends=(paid("2025-07-16", "1000"), paid("2025-09-16", "1000", "IRA")),
    )  # fmt: skip
    got = rules.assess(history, 2025)

    assert got.amount("qualified_dividends") == 1000
    # 15 % on 1,000, less 35 % on the 3,000 of loss that are taken off income.
    assert got.amount("income_tax") == 150 - 1050
    assert got.amount("long_term_carried_forward") == 5000
    assert rules.tax_with(got, ()) == got.amount("tax")
