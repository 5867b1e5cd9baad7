"""Money for a withdrawal, and what it would cost out of other accounts; lots that could be given away."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from services.decision.domain.book import TaxWrapper
from services.decision.domain.decide import decide
from services.decision.domain.lot_reasons import lot_reasons
from services.decision.domain.problem import CashRule, DecideOptions, Engine
from services.decision.domain.raised_cash import raised_cash
from tests.support.portfolios import US_TAXABLE, a_lot, a_market, an_account

FAST = DecideOptions(ignore_triggers=True, engine=Engine.KERNEL)
MARKET = a_market(3, ("AAPL", "VTI"))


def leaving(amount, *, law="US", acquired=date(2020, 1, 2)):
    """An account that has to sell AAPL or VTI, each with a gain, for a withdrawal."""
    tax = replace(US_TAXABLE, jurisdiction=law, short_rate=Decimal("0.30"), long_rate=Decimal("0.20"))
    account = (
        an_account(cash=100, tax=tax)
        .holding("VTI", price=190, lots=(a_lot("v", 50, 127, acquired=acquired),), target="0.60")
        .holding("AAPL", price=130, lots=(a_lot("a", 50, 100, acquired=acquired),), target="0.40")
        .build()
    )
    return replace(account, cash_rule=CashRule(withdrawal=Decimal(amount)))


def test_a_withdrawal_is_told_beside_what_other_wrappers_would_cost():
    account = leaving(4000)
    decision = decide(account, MARKET, FAST)
    told = raised_cash(account, decision, TaxWrapper.TAXABLE)

    assert (told.amount, told.tax) == (4000, decision.explanation.summary.taxes.tax)
    assert told.tax > 0
    ira, roth = told.elsewhere
    assert (ira.wrapper, ira.income, ira.tax, ira.early) == ("traditional IRA", 4000, 1200, 400)
    assert (roth.wrapper, roth.income, roth.tax, roth.early, roth.early_income) == ("Roth IRA", 0, 0, 400, 4000)
    assert "USD 4,000.00 are raised for a withdrawal" in told.sentence
    assert "USD 1,200.00 at the policy's rate (26 U.S.C. § 408(d)(1))" in told.sentence


@pytest.mark.parametrize(("law", "names"), [("GB", ["SIPP", "ISA"]), ("CA", ["RRSP", "TFSA"]), ("DE", [])])
def test_each_law_names_its_own_wrappers_and_guesses_no_rate(law, names):
    account = leaving(4000, law=law)
    told = raised_cash(account, decide(account, MARKET, FAST), TaxWrapper.TAXABLE)

    assert [each.wrapper for each in told.elsewhere] == names
    assert all(each.tax is None for each in told.elsewhere)


def test_nothing_is_told_where_nothing_leaves():
    account = leaving(0)

    assert raised_cash(account, decide(account, MARKET, FAST), TaxWrapper.TAXABLE) is None


@pytest.mark.parametrize(
    ("law", "acquired", "source"),
    [
        ("US", date(2020, 1, 2), "26 U.S.C. § 170(e)"),
        # Short-term: of it the cost alone is deducted.
        ("US", date(2022, 12, 1), ""),
        ("GB", date(2020, 1, 2), "TCGA 1992 s. 257"),
        ("CA", date(2020, 1, 2), "ITA s. 38(a.1)"),
    ],
)
def test_a_kept_gain_that_a_gift_would_spare_names_the_law(law, acquired, source):
    account = leaving(1000, law=law, acquired=acquired)
    reasons = lot_reasons(account, decide(account, MARKET, FAST), MARKET)

    kept = [each for each in reasons if not each.sold]
    assert kept
    assert {each.gift_source for each in kept} == {source}
    assert all(("given to a charity" in each.sentence) is bool(source) for each in kept)
