"""Events can be found again."""

import pytest

from services.kernel.events import Event


def test_an_event_says_what_happened_to_whom():
    event = Event("decision.plan.approved", {"plan": "plan-1", "account": "acc-1"}, {"state": "APPROVED"})

    assert event.subjects["account"] == "acc-1"


@pytest.mark.parametrize(
    "kind", ["", "approved", "Decision.plan", "decision..plan", "decision.plan ", "a" * 128 + ".b"]
)
def test_a_kind_is_a_dotted_name(kind):
    with pytest.raises(ValueError, match="dotted name"):
        Event(kind, {}, {})


def test_a_subject_is_of_a_known_kind_and_has_an_id():
    with pytest.raises(ValueError, match="must be one of"):
        Event("a.b", {"customer": "c-1"}, {})
    for wrong in ("", "x" * 129):
        with pytest.raises(ValueError, match="1 to 128 characters"):
            Event("a.b", {"plan": wrong}, {})
