"""A German plan takes off a fund's gain what was taxed in advance, to the cent as the exact assessment does."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import HoldingKind, Position
from services.decision.domain.crediting import base_rates, credited
from services.decision.domain.fund_years import FundYear
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import LotState
from services.decision.domain.tax.assessment.germany import Germany
from tests.decision.domain.account_problems import TODAY, a_market, an_account, holding, problem_of
from tests.decision.domain.tax.assessment.test_germany import bought, in_one_depot, sold
from tests.decision.domain.test_account_problem import taxed_in
from tests.decision.stages.world import number

prices = st.decimals(1, 1000, places=2)
days = st.dates(date(2018, 1, 2), date(2024, 6, 28))


@given(
    kind=st.sampled_from(AssetKind),
    acquired=days,
    units=st.decimals("0.001", 5000, places=3),
    cost=st.decimals(1, 100_000, places=2),
    years=st.dictionaries(st.integers(2018, 2025), st.tuples(prices, prices, st.decimals(0, 5, places=2))),
)
def test_a_lot_of_a_plan_gains_what_the_exact_assessment_says(kind, acquired, units, cost, years):
    fund_years = tuple(FundYear("ACME", year, *amounts) for year, amounts in years.items())
    rules = Germany({"ACME": kind}, fund_years)
    history = in_one_depot(
        bought("l1", acquired.isoformat(), "A", str(units), str(cost)),
        sold("s1", "2025-03-03", "A", str(units), "50000"),
    )
    ((piece,),) = (each.pieces for each in rules.assess(history, 2025).disposals)

    fund = Instrument("ACME", "EUR", Decimal("0.001"), asset_kind=kind, fund_years=fund_years)
    (lot,) = credited([LotState("l1", acquired, units, cost)], fund, base_rates({}), date(2025, 3, 3))

    assert 50_000 - lot.basis_total == piece.gain


@pytest.mark.parametrize(("country", "currency", "cost"), [("DE", "EUR", "5088.20"), ("GB", "GBP", "5000")])
def test_what_is_asked_of_the_optimiser_has_it_only_of_german_accounts(country, currency, cost):
    # 100 units: 2018 100 € · 0.87 % · 70 % = 0.609; 2019 75 € · 0.52 % · 70 % = 0.273; 2020 is not kept.
    years = (
        FundYear("VTI", 2018, Decimal(100), Decimal(110)),
        FundYear("VTI", 2019, Decimal(75), Decimal(110)),
        FundYear("VTI", TODAY.year, Decimal(100), Decimal(200)),
    )
    lots = (LotState("l1", date(2017, 5, 2), Decimal(100), Decimal(5000)),)
    account = replace(an_account(Position("VTI", HoldingKind.TRADED, Decimal(100), lots)), currency=currency)
    known = [Instrument(each, currency, Decimal(1)) for each in ("BND", "AAPL")]
    fund = Instrument("VTI", currency, Decimal(1), asset_kind=AssetKind.OTHER_FUND, fund_years=years)
    asked = problem_of(
        account, taxed_in(country, long_term_rate=number("0.26375")), a_market(instruments=(*known, fund))
    )

    (lot,) = holding(asked, "VTI").lots
    assert lot.basis_total == Decimal(cost)


def test_a_base_rate_that_was_approved_wins_and_adds_years():
    rates = base_rates({"DE 2026": {"base_rate": Decimal("0.01")}, "DE 2027": {"base_rate": Decimal("0.02")}})

    assert (rates[2025], rates[2026], rates[2027]) == (Decimal("0.0253"), Decimal("0.01"), Decimal("0.02"))
    assert base_rates({"GB 2027": {"base_rate": Decimal(1)}}) == base_rates({})
