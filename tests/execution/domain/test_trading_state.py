import pytest

from services.execution.domain.errors import SelfResume
from services.execution.domain.trading_state import (
    EVERYTHING,
    Halt,
    Scope,
    ScopeKind,
    TradingState,
    check_resume,
    in_force,
    scopes,
    strictest,
)
from tests.execution.builders import NOON

VENUE = Scope(ScopeKind.VENUE, "sandbox")


def a_halt(scope=EVERYTHING, state=TradingState.HALTED, by="ruth", also=()):
    return Halt(scope, state, by, NOON, "storm", also)


def test_the_strictest_halt_counts():
    halts = {EVERYTHING: a_halt(state=TradingState.REDUCING), VENUE: a_halt(VENUE)}

    found = strictest(halts, scopes(venue_id="sandbox", instrument_id="VTI", account_id=None))

    assert found == halts[VENUE]
    assert strictest({}, [EVERYTHING]) is None


def test_another_person_resumes():
    check_resume(a_halt(by="ruth"), "omar")
    with pytest.raises(SelfResume):
        check_resume(a_halt(by="ruth"), "ruth")


@pytest.mark.parametrize(
    ("by", "why"),
    [
        ("ruth", "ruth halted VENUE sandbox, and so did omar, tess; a person who did not must resume"),
        ("omar", "omar halted VENUE sandbox, and so did ruth, tess; a person who did not must resume"),
    ],
)
def test_none_of_those_who_halted_resumes(by, why):
    halt = a_halt(VENUE, by="ruth", also=("omar", "tess"))

    check_resume(halt, "vera")
    with pytest.raises(SelfResume) as refused:
        check_resume(halt, by)

    assert str(refused.value) == why
    assert refused.value.facts == {
        "scope": "VENUE",
        "subject_id": "sandbox",
        "halted_by": "ruth",
        "also_halted_by": "omar, tess",
    }


def test_a_later_halt_as_strict_counts_and_all_who_asked_are_kept():
    ruth, omar, tess = (a_halt(by=name) for name in ("ruth", "omar", "tess"))

    found = in_force(in_force(in_force(None, tess), ruth), omar)

    assert found == a_halt(by="omar", also=("ruth", "tess"))
    assert in_force(found, ruth) == a_halt(by="ruth", also=("omar", "tess"))


def test_a_later_halt_that_is_less_strict_adds_only_who_asked():
    weak = TradingState.REDUCING

    found = in_force(a_halt(by="ruth"), a_halt(state=weak, by="omar"))

    assert found == a_halt(by="ruth", also=("omar",))
    assert in_force(found, a_halt(state=weak, by="ruth")) == found


@pytest.mark.parametrize("also", [("ruth",), ("omar", "omar"), ("tess", "omar")])
def test_who_else_halted_is_each_named_once_in_order(also):
    with pytest.raises(ValueError, match="also_halted_by"):
        a_halt(by="ruth", also=also)


@pytest.mark.parametrize(
    ("kind", "subject", "why"),
    [(ScopeKind.ALL, "x", "must be empty for ALL, was 'x'"), (ScopeKind.ACCOUNT, "", "must name which account")],
)
def test_a_scope_covers_one_thing(kind, subject, why):
    with pytest.raises(ValueError, match=why):
        Scope(kind, subject)
