import pytest

from services.audit.domain.checkpoint import Checkpoint
from services.audit.domain.entry import new_entry
from services.audit.domain.merkle import EMPTY_ROOT, Unproven
from services.audit.domain.sequencing import Head, grow
from services.audit.domain.tiles import RightEdge
from services.audit.domain.verify import LogVerifier, verify_log
from tests.audit.builders import NOON, ORIGIN, an_event, later, some_events

GROWTH = grow(Head(RightEdge(), None), some_events(20), {}, {}, NOON)
BODIES = [entry.body for entry in GROWTH.entries]


def checkpoint_of(bodies_or_entries, size):
    edge, _ = RightEdge().extended(entry.leaf for entry in bodies_or_entries[:size])
    return Checkpoint(ORIGIN, size, edge.root())


CHECKPOINTS = [checkpoint_of(GROWTH.entries, size) for size in (0, 7, 20)]


def log_of(*entries):
    return [entry.body for entry in entries], [checkpoint_of(entries, len(entries))]


def entry(name, index, sequence, *, account="a", at=NOON):
    return new_entry(an_event(name, account=account), index=index, account_sequence=sequence, recorded_time=at)


def test_a_log_that_is_whole_is_reported():
    report = verify_log(BODIES, CHECKPOINTS)

    assert (report.size, report.root) == (20, GROWTH.head.edge.root())
    assert report.checkpoints_verified == 3
    assert report.account_entries == dict(GROWTH.sequences)
    assert report.first_time == report.last_time == NOON


def test_an_empty_log_is_whole():
    assert verify_log([], [Checkpoint(ORIGIN, 0, EMPTY_ROOT)]).size == 0


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_single_changed_bit_of_a_body_is_found_and_located(index):
    bodies, checkpoints = log_of(*GROWTH.entries[:3])
    for bit in range(len(bodies[index]) * 8):
        changed = bytearray(bodies[index])
        changed[bit // 8] ^= 1 << bit % 8
        # A time that was moved back or forth contradicts its neighbour.
        with pytest.raises(Unproven, match=rf"entry {index}:|entry ({index}|{index + 1}) |the first 3 entries"):
            verify_log([*bodies[:index], bytes(changed), *bodies[index + 1 :]], checkpoints)


@pytest.mark.parametrize("index", [0, 10, 19])
def test_an_entry_left_out_or_doubled_or_moved_is_found(index):
    for bodies in (
        [*BODIES[:index], *BODIES[index + 1 :]],
        [*BODIES[:index], BODIES[index], *BODIES[index:]],
        [BODIES[index], *BODIES[:index], *BODIES[index + 1 :]] if index else [BODIES[1], BODIES[0], *BODIES[2:]],
    ):
        with pytest.raises(Unproven):
            verify_log(bodies, CHECKPOINTS)


def test_a_log_that_was_written_anew_from_some_entry_on_does_not_match_an_older_checkpoint():
    other = grow(Head(RightEdge(), None), [*some_events(6), *some_events(14, "other")], {}, {}, NOON)

    with pytest.raises(Unproven, match="the first 7 entries do not hash"):
        verify_log([each.body for each in other.entries], CHECKPOINTS)


def test_a_log_shorter_than_a_checkpoint_is_found():
    with pytest.raises(Unproven, match="has 12 entries, but a checkpoint covers 20"):
        verify_log(BODIES[:12], CHECKPOINTS)


def test_two_checkpoints_of_one_size_that_differ_are_a_fork():
    with pytest.raises(Unproven, match="forked"):
        LogVerifier([CHECKPOINTS[2], Checkpoint(ORIGIN, 20, CHECKPOINTS[1].root)])


def test_checkpoints_of_two_logs_are_not_one_log():
    with pytest.raises(Unproven, match="two logs"):
        LogVerifier([CHECKPOINTS[0], Checkpoint("another", 20, CHECKPOINTS[2].root)])


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (log_of(entry(1, 0, 1), entry(2, 1, 3)), "number 3 of its account, expected 2"),
        (log_of(entry(1, 0, 1), entry(2, 1, 1)), "number 1 of its account, expected 2"),
        (log_of(entry(1, 0, 1, account=None)), "number 1 of its account, expected 0"),
        (log_of(entry(1, 0, 1), entry(1, 1, 2)), "stands in the log twice"),
        (log_of(entry(1, 0, 1), entry(2, 2, 2)), "entry 1 says that its index is 2"),
        (log_of(entry(1, 0, 1, at=later(1)), entry(2, 1, 2)), "recorded before the entry"),
    ],
)
def test_a_log_that_is_signed_but_contradicts_itself_is_refused(log, says):
    bodies, checkpoints = log
    with pytest.raises(Unproven, match=says):
        verify_log(bodies, checkpoints)
