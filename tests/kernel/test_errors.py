"""Facts: what an error carries to the caller."""

import pickle

import pytest

from services.kernel.errors import VIOLATIONS_SHOWN_MAX, Fact, Invalid, NotFound, Overloaded, Rejected, Violations


class PlanExpired(Rejected):
    """Stands for any error of a service."""

    reason = "PLAN_EXPIRED"


def test_a_fact_carries_its_message_and_its_changing_parts():
    fact = PlanExpired("plan p-1 expired", plan_id="p-1")

    assert str(fact) == fact.message == "plan p-1 expired"
    assert fact.facts == {"plan_id": "p-1"}
    assert fact.reason == "PLAN_EXPIRED"


@pytest.mark.parametrize("nameless", [Fact, NotFound, Rejected])
def test_a_fact_without_a_reason_cannot_be_raised(nameless):
    with pytest.raises(TypeError, match="has no reason"):
        nameless("something")


def test_a_fact_survives_the_way_back_from_a_worker_process():
    came_back = pickle.loads(pickle.dumps(Invalid("no", violations=[], limit=3)))

    assert came_back.message == "no"
    assert came_back.facts == {"limit": 3}


def test_no_violation_raises_nothing():
    Violations().raise_if_any()


def test_all_violations_are_said_at_once():
    violations = Violations()
    violations.add("weights[0]", "must be at least 0, was -0.1")
    violations.add("weights[1]", "must be at most 1, was 1.1")

    with pytest.raises(Invalid, match=r"weights\[0\]: must be at least 0, was -0.1 \(and 1 more\)") as caught:
        violations.raise_if_any()
    assert [v.field for v in caught.value.violations] == ["weights[0]", "weights[1]"]
    assert caught.value.reason == "FIELD_INVALID"


def test_violations_beyond_the_limit_are_counted_and_not_kept():
    violations = Violations()
    for row in range(VIOLATIONS_SHOWN_MAX + 5):
        violations.add(f"lots[{row}]", "is wrong")

    assert len(violations) == VIOLATIONS_SHOWN_MAX + 5
    with pytest.raises(Invalid) as caught:
        violations.raise_if_any()
    assert len(caught.value.violations) == VIOLATIONS_SHOWN_MAX


def test_overload_says_when_to_come_back():
    class LogBackpressure(Overloaded):
        reason = "LOG_BACKPRESSURE"

    assert LogBackpressure("full", retry_after_s=2.5).retry_after_s == 2.5
