from decimal import Decimal

import pytest

from services.kernel.money import Money
from services.policy.domain.document import (
    EMPTY,
    FIELDS,
    Bands,
    Document,
    LotMethod,
    SafetyNets,
    TaxSettings,
    Triggers,
)
from services.policy.domain.errors import GuardrailExceeded
from services.policy.domain.guardrails import check_guardrails, with_guardrails
from tests.policy.builders import a_group, both, guarded, risk, targets


def refused(document, *guarding):
    bounds = {}
    for place, each in enumerate(guarding):
        bounds = with_guardrails(bounds, each.guardrails, f"n{place}", f"v{place}")
    try:
        check_guardrails(document, bounds)
    except GuardrailExceeded as error:
        return [(v.field, v.description) for v in error.violations]
    return []


def test_both_edges_of_a_bound_are_inside():
    bound = guarded("risk.cash_floor", minimum="0.01", maximum="0.05")

    assert refused(risk(cash_floor="0.01"), bound) == []
    assert refused(risk(cash_floor="0.05"), bound) == []
    ((field, description),) = refused(risk(cash_floor="0.0500001"), bound)
    assert field == "document.risk.cash_floor"
    assert description == "must be at most 0.05, was 0.0500001, says the guardrail of n0 (the board says so)"
    assert len(refused(risk(cash_floor="0.0099999"), bound)) == 1


def test_all_ancestors_bind_at_once():
    found = refused(
        risk(cash_floor="0.2"), guarded("risk.cash_floor", maximum="0.1"), guarded("risk.cash_floor", minimum="0.3")
    )

    assert len(found) == 2


def test_a_locked_field_cannot_be_set_at_all():
    assert len(refused(risk(cash_floor="0"), guarded("risk.cash_floor", locked=True))) == 1
    assert refused(EMPTY, guarded("risk.cash_floor", locked=True)) == []


def test_money_is_bounded_by_its_amount():
    bound = guarded("bands.minimum_trade", minimum="50")

    assert len(refused(Document(bands=Bands(minimum_trade=Money(Decimal("49.99"), "USD"))), bound)) == 1
    assert refused(Document(bands=Bands(minimum_trade=Money(Decimal(50), "USD"))), bound) == []


@pytest.mark.parametrize(
    ("document", "allowed", "fits"),
    [
        (Document(tax=TaxSettings(lot_method=LotMethod.LOWEST_TAX)), ["lowest_tax"], True),
        (Document(tax=TaxSettings(lot_method=LotMethod.HIGHEST_COST)), ["lowest_tax"], False),
        (Document(safety=SafetyNets(paused=True)), ["false"], False),
        (Document(triggers=Triggers(calendar_days=30)), ["30", "90"], True),
        (risk(cash_floor="0.10"), ["0.1"], True),
        (risk(cash_floor="0.10"), ["0.2"], False),
        (targets(VTI="0.5", BND="0.5"), ["BND", "VTI", "VXUS"], True),
        (targets(VTI="0.5", GME="0.5"), ["BND", "VTI", "VXUS"], False),
    ],
)
def test_only_allowed_values_are_allowed(document, allowed, fits):
    (path,) = FIELDS.values(document)

    assert (refused(document, guarded(path, allowed=allowed)) == []) is fits


def test_a_list_of_instruments_looks_into_groups():
    nested = both(EMPTY, FIELDS.document({"targets.weights": (a_group("stocks", 1, GME="1"),)}))

    assert len(refused(nested, guarded("targets.weights", allowed=["VTI"]))) == 1
