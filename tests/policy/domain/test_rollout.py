from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.errors import RolloutEvidenceMissing, RolloutState, SelfApproval, VersionConflict
from services.policy.domain.history import AsOf
from services.policy.domain.rollout import Metric, RolloutPlan, Stage, StopRule, begun, readings, share_of
from tests.policy.builders import DAY, NOON, a_comparison, a_plan


def a_rollout(plan=None):
    return begun(
        ChangeId("change-1"), PolicyNodeId("firm"), PolicyVersionId("sha256:1"), plan or a_plan(),
        author="ann", by="bob", at=NOON, market_time=NOON,
    )  # fmt: skip


def seen(rollout, *taxes):
    return readings(rollout.plan.stop_rules, [a_comparison(f"a{n}", tax=tax) for n, tax in enumerate(taxes)])


def advance(rollout, *taxes, by="bob", at=NOON):
    return rollout.advanced(by, reason="well", at=at, market_time=at, seen=seen(rollout, *taxes))


def test_a_rollout_goes_through_its_stages_and_history_knows_when():
    canary = advance(a_rollout(), "1", at=NOON + DAY)
    everybody = advance(canary, "1", at=NOON + 2 * DAY)

    stages = [everybody.stage_at(AsOf(NOON + DAY * each)) for each in (-1, 0, 1, 2)]
    assert stages == [None, Stage.SHADOW, Stage.CANARY, Stage.ALL]
    assert everybody.stage_at(AsOf(NOON + 2 * DAY, NOON + DAY)) is Stage.CANARY
    with pytest.raises(RolloutState):
        advance(everybody, "1")
    with pytest.raises(RolloutState):
        everybody.rolled_back("bob", reason="no", at=NOON, market_time=NOON)


def test_the_author_does_not_advance_it_and_a_stale_reader_neither():
    with pytest.raises(SelfApproval):
        advance(a_rollout(), "1", by="ann")
    moved = advance(a_rollout(), "1")
    with pytest.raises(VersionConflict):
        moved.check_etag(a_rollout().etag)
    moved.check_etag(moved.etag)


@pytest.mark.parametrize("taxes", [(), ("1",), ("5", "5.1")])
def test_it_advances_only_with_full_windows_that_break_no_rule(taxes):
    with pytest.raises(RolloutEvidenceMissing, match="bps"):
        advance(a_rollout(a_plan(window=2)), *taxes)


def test_a_bound_is_inside_and_only_the_newest_comparisons_count():
    rollout = a_rollout(a_plan(bound="5", window=2))

    assert not seen(rollout, "4", "6", "1000")[0].broken
    assert seen(rollout, "4", "6.000001", "-1000")[0].broken
    assert not seen(rollout, "1000")[0].broken


@given(st.lists(st.decimals(-100, 100, places=2), max_size=30), st.integers(1, 10), st.decimals(-50, 50, places=2))
def test_a_rule_is_broken_when_the_mean_of_a_full_window_is_beyond_its_bound(taxes, window, bound):
    rule = StopRule(Metric.TAX, bound, window)
    (reading,) = readings([rule], [a_comparison(f"a{n}", tax=tax) for n, tax in enumerate(taxes)])

    newest = taxes[:window]
    assert reading.count == len(newest)
    assert reading.full == (len(newest) == window)
    assert reading.broken == (len(newest) == window and sum(newest, Decimal(0)) > bound * window)


def test_failures_count_in_shares_of_ten_thousand():
    rule = StopRule(Metric.FAILURES, Decimal(2_500), 4)
    failed = [a_comparison(f"a{n}", failed=n == 0) for n in range(4)]

    assert readings([rule], failed)[0].mean_bps == 2_500


def test_clocks_that_are_set_back_do_not_reorder_the_steps():
    back = a_rollout().rolled_back("bob", reason="no", at=NOON - DAY, market_time=NOON - DAY)

    assert back.steps[-1].effective_time == NOON
    assert back.stage_at(AsOf(NOON)) is Stage.ROLLED_BACK


def test_a_share_is_the_same_for_ever():
    # The first 8 bytes of `printf '["change-1","household-1"]' | sha256sum`, modulo 10,000; another value would move
    # accounts between the sides of a running rollout.
    assert share_of(ChangeId("change-1"), PolicyNodeId("household-1")) == 4991


def test_a_plan_states_a_rule_and_one_canary():
    with pytest.raises(ValueError, match="stop rule"):
        RolloutPlan((), share_bps=1)
    with pytest.raises(ValueError, match="cohort"):
        replace(a_plan(), share_bps=None)
