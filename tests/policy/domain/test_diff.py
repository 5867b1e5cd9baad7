from decimal import Decimal

import pytest
from hypothesis import given

from services.kernel.money import Money
from services.policy.domain.diff import Step, differences
from services.policy.domain.document import EMPTY, FIELDS, Document, SafetyNets, YearlyGainBudget
from services.policy.domain.mixes import Targets, TargetWeight
from services.policy.domain.risk_limits import StressLimit, StressMove
from tests.policy.builders import NOON, a_group, bands, both, guarded, restricted, risk, targets
from tests.policy.strategies import documents

BACKWARDS = {
    Step.SET: Step.CLEARED,
    Step.CLEARED: Step.SET,
    Step.RAISED: Step.LOWERED,
    Step.LOWERED: Step.RAISED,
    Step.CHANGED: Step.CHANGED,
}


def said(before, after):
    return [difference.description for difference in differences(before, after)]


@given(documents(), documents())
def test_documents_differ_exactly_if_there_are_differences(before, after):
    assert (differences(before, after) == ()) == (before == after)


@given(documents(), documents())
def test_differences_back_are_the_differences_turned_around(before, after):
    assert [(d.path, d.item, BACKWARDS[d.step], d.after, d.before) for d in differences(before, after)] == [
        (d.path, d.item, d.step, d.before, d.after) for d in differences(after, before)
    ]


@given(documents())
def test_a_new_document_differs_in_what_it_sets(document):
    found = differences(EMPTY, document)

    assert {difference.path for difference in found} == set(FIELDS.values(document))
    assert {difference.step for difference in found} <= {Step.SET}


def test_numbers_are_raised_and_lowered():
    before = both(bands(trigger="0.05", destination="0.02"), risk(cash_floor="0.01"))
    after = both(bands(trigger="0.03", destination="0.025"), Document(safety=SafetyNets(paused=True)))

    assert said(before, after) == [
        "bands.trigger.absolute is lowered from 0.05 to 0.03",
        "bands.destination.absolute is raised from 0.02 to 0.025",
        "risk.cash_floor is no longer 0.01",
        "safety.paused is set to true",
    ]


def test_targets_are_compared_line_by_line():
    before = Document(
        targets=Targets((a_group("stocks", "0.6", VTI="0.7", VXUS="0.3"), TargetWeight(Decimal("0.4"), "BND")))
    )
    after = Document(
        targets=Targets((a_group("stocks", "0.5", VTI="0.8", VXUS="0.2"), TargetWeight(Decimal("0.5"), "BND")))
    )

    assert said(before, after) == [
        "targets.weights of BND is raised from 0.4 to 0.5",
        "targets.weights of stocks/ is lowered from 0.6 to 0.5",
        "targets.weights of stocks/VTI is raised from 0.7 to 0.8",
        "targets.weights of stocks/VXUS is lowered from 0.3 to 0.2",
    ]


def test_lines_come_and_go():
    assert said(targets(VTI="1"), targets(VTI="0.9", BND="0.1")) == [
        "targets.weights of BND is set to 0.1",
        "targets.weights of VTI is lowered from 1 to 0.9",
    ]
    (lifted,) = differences(restricted("GME"), EMPTY)
    assert (lifted.path, lifted.item, lifted.step) == ("restrictions.items", "GME excluded", Step.CLEARED)
    (dated,) = differences(restricted("GME"), restricted("GME", until=NOON))
    assert dated.step is Step.CHANGED
    (tighter,) = differences(guarded("risk.cash_floor", maximum="0.2"), guarded("risk.cash_floor", maximum="0.1"))
    assert (tighter.item, tighter.step) == ("risk.cash_floor", Step.CHANGED)


def test_lists_that_say_something_twice_are_compared_as_a_whole():
    twice = (TargetWeight(Decimal("0.5"), "VTI"), TargetWeight(Decimal("0.4"), "VTI"))

    (difference,) = differences(targets(VTI="1"), Document(targets=Targets(twice)))
    assert (difference.item, difference.step) == ("", Step.CHANGED)


@pytest.mark.parametrize("count", [1, 500])
def test_a_sentence_is_short_whatever_the_value(count):
    many = Document(targets=Targets(tuple(TargetWeight(Decimal(0), "SAME") for _ in range(count + 1))))

    (difference,) = differences(EMPTY, many)
    assert len(difference.description) < 200


def test_budgets_of_years_and_stresses_are_compared_line_by_line():
    def document(amount, limit):
        stress = StressLimit("2008", (StressMove(Decimal("-0.4"), "VTI"),), Decimal(limit))
        budgets = {2026: amount, 2027: 9}
        yearly = tuple(YearlyGainBudget(year, Money(Decimal(most), "USD")) for year, most in budgets.items())
        return FIELDS.document({"tax.gain_budgets": yearly, "risk.stress_limits": (stress,)})

    found = differences(document(5, "0.3"), document(7, "0.2"))

    assert [(each.path, each.item) for each in found] == [("tax.gain_budgets", "2026"), ("risk.stress_limits", "2008")]
    assert found[0].step is Step.RAISED
