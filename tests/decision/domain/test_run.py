"""How a run is cut into shards, how long it waits, and how long its stages took."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.deciding import engine_of
from services.decision.domain.problem import Engine
from services.decision.domain.run import BACKOFF_FIRST, BACKOFF_MAX, Run, RunProgress, RunState, backoff, shards

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def a_run(**changes):
    given = {
        "run_id": "run-1",
        "state": RunState.DECIDING,
        "actor": "erin",
        "start_time": NOON,
        "as_of_time": NOON,
        "snapshot_id": "s",
        "price_set_id": "p",
        "price_history_id": "h",
        "engine": "e",
        "currency": "USD",
        "dry_run": False,
        "account_count": 3,
        "trace_parent": None,
    }
    return Run(**{**given, **changes})


@given(st.lists(st.text(min_size=1), unique=True, max_size=40), st.integers(1, 12))
def test_every_account_is_in_exactly_one_shard_in_order(account_ids, size):
    pieces = list(shards(account_ids, size))

    assert [account for _, piece in pieces for account in piece] == account_ids
    assert [number for number, _ in pieces] == list(range(len(pieces)))
    assert all(1 <= len(piece) <= size for _, piece in pieces)


@given(st.lists(st.integers(0, 60), unique=True, max_size=40), st.integers(1, 7), st.integers(1, 9))
def test_a_household_is_in_one_shard(numbers, size, households):
    account_ids = [f"a{number:02}" for number in numbers]
    household_of = {each: f"h{int(each[1:]) % households}" for each in account_ids if int(each[1:]) % 3}
    pieces = list(shards(account_ids, size, household_of))

    assert sorted(account for _, piece in pieces for account in piece) == sorted(account_ids)
    shards_of = {}
    for number, piece in pieces:
        for account in piece:
            shards_of.setdefault(household_of.get(account, account), set()).add(number)
    assert all(len(each) == 1 for each in shards_of.values())


def test_waits_double_up_to_the_longest():
    assert [backoff(each) for each in (1, 2, 3)] == [BACKOFF_FIRST, 2 * BACKOFF_FIRST, 4 * BACKOFF_FIRST]
    assert backoff(1_000_000) == BACKOFF_MAX


def test_a_stage_that_goes_on_counts_until_now_and_later_ones_do_not_yet():
    run = a_run(pinned_time=NOON + timedelta(seconds=2))

    durations = RunProgress(run).stage_durations(NOON + timedelta(seconds=5))

    assert durations == {"pin": timedelta(seconds=2), "decide": timedelta(seconds=3)}


def test_the_stages_of_a_canceled_run_end_with_it():
    run = a_run(state=RunState.CANCELED, end_time=NOON + timedelta(seconds=4))

    assert RunProgress(run).stage_durations(NOON + timedelta(hours=1)) == {"pin": timedelta(seconds=4)}


@pytest.mark.parametrize("state", [RunState.DONE, RunState.CANCELED])
def test_a_final_run_cannot_be_canceled_again(state):
    run = a_run(state=state, end_time=NOON)

    assert run.canceled(NOON + timedelta(seconds=1)) is run


def test_the_first_word_of_an_engine_says_what_solves():
    assert engine_of("kernel evenkeel/1 numba/2") is Engine.KERNEL
    assert engine_of("reference evenkeel/1") is Engine.REFERENCE
    assert engine_of("engine/1") is Engine.REFERENCE
