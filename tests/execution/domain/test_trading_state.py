import pytest

from services.execution.domain.errors import SelfResume
from services.execution.domain.trading_state import (
    EVERYTHING,
    Halt,
    Scope,
    ScopeKind,
    TradingState,
    check_resume,
    scopes,
    strictest,
)
from tests.execution.builders import NOON

VENUE = Scope(ScopeKind.VENUE, "sandbox")


def a_halt(scope=EVERYTHING, state=TradingState.HALTED, by="ruth"):
    return Halt(scope, state, by, NOON, "storm")


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
    ("kind", "subject", "why"),
    [(ScopeKind.ALL, "x", "must be empty for ALL, was 'x'"), (ScopeKind.ACCOUNT, "", "must name which account")],
)
def test_a_scope_covers_one_thing(kind, subject, why):
    with pytest.raises(ValueError, match=why):
        Scope(kind, subject)
