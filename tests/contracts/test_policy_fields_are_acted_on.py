"""Whatever a policy may say, somebody acts on it: decision reads it, or policy works it out."""

from datetime import timedelta
from decimal import Decimal

import pytest

from services.decision.clients.policy_document import read_policy
from services.kernel.ids import InstrumentId, PolicyNodeId
from services.kernel.money import Money
from services.policy.api.documents import document_message
from services.policy.domain.document import FIELDS, Pause, Restriction, RestrictionKind, YearlyGainBudget
from services.policy.domain.eligibility import BuyList, EquivalenceSet, Screen
from services.policy.domain.merge import effective
from services.policy.domain.mixes import Combine, Distance, TargetWeight
from services.policy.domain.plain import in_plain_words
from services.policy.domain.risk_limits import ClassLimit, FactorExposure, FactorLimit, StressLimit, StressMove
from tests.policy.builders import DAY, NOON, a_group, a_layer

# Read by people, and by nothing else.
NAMES = {"targets.model_name", "objective.philosophy"}
# Policy itself acts on these: they bound documents, or say what is made of profiles, preferences and consents.
OF_POLICY = ("guardrails", "approvals", "profile_rule.", "preferences.", "client.required_consents")

ELSEWHERE = Money(Decimal("123.45"), "USD")
RICH = {
    "targets.weights": (
        TargetWeight(Decimal("0.5"), InstrumentId("VTI"), substitutes=(InstrumentId("ITOT"),)),
        a_group("bonds", "0.4", BND="1"),
    ),
    "targets.cash_weight": Decimal("0.1"),
    "bands.trigger.absolute": Decimal("0.05"),
    "bands.trigger.relative": Decimal("0.3"),
    "bands.destination.absolute": Decimal("0.01"),
    "bands.destination.relative": Decimal("0.2"),
    "execution.order_kind": FIELDS["execution.order_kind"].kind.LIMIT,
    "restrictions.items": (Restriction(screen="sin", kind=RestrictionKind.NO_BUY, reason="a reason"),),
    "eligibility.screens": (Screen("sin", (InstrumentId("MO"),)),),
    "eligibility.buy_lists": (
        BuyList("german", residence="DE", instrument_ids=(InstrumentId("BND"), InstrumentId("ITOT"))),
        BuyList("pension", wrapper="PENSION", instrument_ids=(InstrumentId("BND"), InstrumentId("ITOT"))),
    ),
}
OTHERS = {
    "targets.weights": [(TargetWeight(Decimal("0.9"), InstrumentId("VTI"), trigger=Distance(Decimal("0.2"))),)],
    "restrictions.items": [(Restriction(InstrumentId("GME"), RestrictionKind.EXCLUDED, "a reason"),)],
    "eligibility.residence": ["DE"],
    "eligibility.wrapper": ["PENSION"],
    "eligibility.buy_lists": [(BuyList("all", instrument_ids=(InstrumentId("BND"),)),)],
    "eligibility.screens": [(Screen("sin", (InstrumentId("BND"),)),)],
    "eligibility.equivalences": [(EquivalenceSet("us", (InstrumentId("VTI"), InstrumentId("ITOT"))),)],
    "safety.pauses": [(Pause(NOON, NOON + DAY, "a reason"),)],
    "risk.factor_limits": [
        (FactorLimit("duration", (FactorExposure(InstrumentId("BND"), Decimal(6)),), maximum=Decimal(5)),)
    ],
    "risk.stress_limits": [(StressLimit("2008", (StressMove(Decimal("-0.4"), InstrumentId("VTI")),), Decimal("0.2")),)],
    "tax.gain_budgets": [(YearlyGainBudget(2026, ELSEWHERE),)],
    "risk.class_limits": [(ClassLimit("equity", maximum=Decimal("0.5")),)],
    "client.missing_consents": [("mandate",)],
    "targets.problem": ["a reason"],
}


def read(values):
    merged = effective([a_layer("firm", FIELDS.document(values))])
    said = in_plain_words(merged, NOON + timedelta(hours=1), lambda _: None).document
    return read_policy(document_message(said).SerializeToString())


def others(field):
    if field.path in OTHERS:
        return OTHERS[field.path]
    if field.kind is Decimal:
        return [Decimal("0.123")]
    if field.kind is Money:
        return [ELSEWHERE]
    if field.kind is bool:
        return [True, False]
    if field.kind is int:
        return [77]
    return [PolicyNodeId("XX")] if field.kind is str else list(field.kind)


def is_of_policy(path):
    return path.startswith(OF_POLICY) or path == "client.risk_budget"


@pytest.mark.parametrize("field", list(FIELDS), ids=lambda field: field.path)
def test_every_field_is_acted_on(field):
    if field.path in NAMES or is_of_policy(field.path):
        return

    without = {path: value for path, value in RICH.items() if path != field.path}
    readings = [read(RICH)] + [read({**without, field.path: value}) for value in others(field)]
    assert any(reading != readings[0] for reading in readings[1:]), f"{field.path} makes no difference to decision"


def test_the_smaller_of_two_distances_is_what_decision_uses():
    rule = read({**RICH, "bands.trigger.combine": Combine.SMALLER}).trigger

    assert rule.at(Decimal("0.5")) == Decimal("0.05")
    assert rule.at(Decimal("0.1")) == Decimal("0.03")
