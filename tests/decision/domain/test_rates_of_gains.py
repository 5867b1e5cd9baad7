"""What gains cost by the policy's rates, or by the law on top of an income."""

from dataclasses import replace
from decimal import Decimal

from google.type import money_pb2

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.clients.policy_document import read_policy
from services.decision.domain.recorded import InstrumentList, read_recorded, recorded_bytes
from services.decision.domain.tax.laws import LawState, LawVersion, law_book
from tests.decision.domain.account_problems import a_market, problem_of, violations
from tests.decision.domain.test_account_problem import two_lots
from tests.decision.stages.world import a_policy, dollars, number


def pounds(amount):
    return money_pb2.Money(currency_code="GBP", units=amount)


def british(**said):
    return read_policy(a_policy(tax=document_pb.TaxSettings(jurisdiction="GB", **said)))


def test_a_british_income_decides_the_rates_and_where_they_change():
    # The prices are of 2022/23: 10 and 20 %, a basic rate band of 37,700.
    told = problem_of(two_lots("GBP"), british(taxable_income=pounds(30_000))).tax
    high = problem_of(two_lots("GBP"), british(taxable_income=pounds(50_000), long_term_rate=number("0.5"))).tax
    plain = problem_of(two_lots("GBP"), british(long_term_rate=number("0.24"))).tax

    assert (told.lower_rate, told.lower_room, told.long_rate) == (Decimal("0.10"), 7_700, Decimal("0.20"))
    assert (high.lower_room, high.long_rate) == (0, Decimal("0.20"))
    assert (plain.lower_room, plain.long_rate) == (0, Decimal("0.24"))
    assert "policy.tax.long_term_rate" in violations(two_lots("GBP"), british())
    euros = british(taxable_income=money_pb2.Money(currency_code="EUR", units=1))
    assert violations(two_lots("GBP"), euros) == {"policy.tax.taxable_income": "must be in GBP, was 1 EUR"}
    # Elsewhere the policy's rates are the rates.
    american = document_pb.TaxSettings(
        jurisdiction="US", short_term_rate=number("0.4"), long_term_rate=number("0.2"), taxable_income=dollars(1)
    )
    assert problem_of(two_lots(), read_policy(a_policy(tax=american))).tax.lower_room == 0


def test_amounts_of_law_that_were_approved_are_pinned_and_planned_by():
    version = LawVersion(
        "GB", 2022, 1, LawState.APPROVED,
        {"exempt_amount": Decimal(12_300), "basic_rate_band": Decimal(40_000), "basic_rate": Decimal("0.11"),
         "higher_rate": Decimal("0.22")},
        "a finance act",
    )  # fmt: skip
    pinned = recorded_bytes(InstrumentList((), {}, law_book([version]).approved_amounts()))
    market = replace(a_market(currency="GBP"), amounts=read_recorded(InstrumentList, pinned).amounts)
    tax = problem_of(two_lots("GBP"), british(taxable_income=pounds(30_000)), market).tax

    assert (tax.lower_rate, tax.lower_room, tax.long_rate) == (Decimal("0.11"), 10_000, Decimal("0.22"))
