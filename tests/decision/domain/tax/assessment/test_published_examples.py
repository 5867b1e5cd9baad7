"""What the authorities publish comes out to the cent."""

from decimal import Decimal

import pytest

from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from tests.decision.domain.tax.assessment.histories import examples, facts_of, history_of

RULES = {
    "united_kingdom": UnitedKingdom,
    "united_states": UnitedStatesYear,
    "canada": Canada,
    "germany": Germany,
}
CASES = [pytest.param(RULES[name], each, id=f"{name}: {each['name']}") for name in RULES for each in examples(name)]
# The authority rounds each figure to whole units of currency, and what remains after several of them more than once.
WHOLE = Decimal("0.5")
WHOLE_TWICE = Decimal(1)
# It rounds costs up and gains down.
WHOLE_UP = Decimal(1)


@pytest.mark.parametrize(("rules", "example"), CASES)
def test_a_published_example_comes_out_as_published(rules, example):
    got = facts_of(example, rules).assess(history_of(example), example["tax_year"])
    tolerance = {None: Decimal(0), True: WHOLE, "up": WHOLE_UP}[example.get("whole")]

    gains = {key: each.counted_gain for each in got.disposals for key in (*each.disposal_ids, each.day.isoformat())}
    for key, expected in example["gains"].items():
        assert abs(gains[key] - Decimal(expected)) <= tolerance, key
    disallowed = {
        key: sum(piece.disallowed_loss for piece in each.pieces) for each in got.disposals for key in each.disposal_ids
    }
    assert {key: disallowed[key] for key in example.get("disallowed", {})} == {
        key: Decimal(expected) for key, expected in example.get("disallowed", {}).items()
    }
    cost_by_lot: dict[str | None, Decimal] = {}
    cost_by_account: dict[str, Decimal] = {}
    for each in got.remaining:
        cost_by_lot[each.lot_id] = cost_by_lot.get(each.lot_id, Decimal(0)) + each.cost
        cost_by_account[each.account_id or ""] = cost_by_account.get(each.account_id or "", Decimal(0)) + each.cost
    if "remaining_cost" in example:
        assert abs(sum(cost_by_lot.values()) - Decimal(example["remaining_cost"])) <= (tolerance and WHOLE_TWICE)
    if "remaining_units" in example:
        assert sum(each.quantity for each in got.remaining) == Decimal(example["remaining_units"])
    for lot, expected in example.get("lot_cost", {}).items():
        assert cost_by_lot[lot] == Decimal(expected), lot
    for account, expected in example.get("account_cost", {}).items():
        assert cost_by_account[account] == Decimal(expected), account
    for name, expected in example.get("lines", {}).items():
        assert got.amount(name) == Decimal(expected), name
    assert got.permanently_lost == Decimal(example.get("lost", "0"))
