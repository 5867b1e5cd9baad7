import asyncio
import dataclasses

import pytest

from services.audit.app import AuditApp, Growing
from services.audit.app.sequencer import BATCH_EVENTS_MAX
from services.audit.domain.entry import EVENT_BYTES_MAX
from services.audit.domain.errors import EntryNotFound, EventTooLarge, LogRootMismatch, TreeSizeUnknown
from services.audit.domain.filter import EntryFilter
from services.kernel.errors import Invalid
from tests.audit.app.test_sequencer import Seen, writing
from tests.audit.builders import ORIGIN, an_event, some_events
from tests.audit.memory_log import MemoryLog


@pytest.fixture
async def log():
    log = MemoryLog(ORIGIN)
    async with writing(log) as sequencer:
        await sequencer.append(some_events(300))
    return log


def app_of(log, sequencer=None, growing=None):
    return AuditApp(sequencer=sequencer, log=log, growing=growing or Growing())


def bent(log, index, **changes):
    log.entries[index] = dataclasses.replace(log.entries[index], **changes)


async def test_a_log_that_nobody_has_written_to_has_no_checkpoint():
    app = app_of(MemoryLog(ORIGIN))

    for call in (app.checkpoint(), app.entries(EntryFilter(), limit=1), app.inclusion_proof(0)):
        with pytest.raises(TreeSizeUnknown):
            await call
    with pytest.raises(EntryNotFound):
        await app.entry(0)


async def test_a_proof_that_would_not_verify_is_never_given(log):
    bent(log, 260, leaf=b"\0" * 32)

    for index in (260, 261, 3):
        with pytest.raises(LogRootMismatch):
            await app_of(log).inclusion_proof(index)


async def test_a_consistency_proof_that_would_not_verify_is_never_given():
    log = MemoryLog(ORIGIN)
    async with writing(log) as sequencer:
        for number in range(3):
            await sequencer.append(some_events(10, f"batch {number}"))
    assert len((await app_of(log).consistency_proof(10, 30)).hashes) > 0
    bent(log, 25, leaf=b"\0" * 32)

    with pytest.raises(LogRootMismatch):
        await app_of(log).consistency_proof(10, 30)
    assert (await app_of(log).consistency_proof(30, 30)).hashes == ()


async def test_an_entry_that_is_not_one_is_never_shown(log):
    bent(log, 7, body=log.entries[7].body.replace(b"alice", b'al"ce'))
    app = app_of(log)

    for call in (app.entry(7), app.entries(EntryFilter(), limit=20)):
        with pytest.raises(LogRootMismatch):
            await call
    assert len((await app.entries(EntryFilter(), limit=7)).entries) == 7


@pytest.mark.parametrize(("first", "second"), [(0, None), (0, 300), (-1, 300), (301, 300)])
async def test_sizes_that_cannot_be_proven_are_refused(log, first, second):
    with pytest.raises(Invalid):
        await app_of(log).consistency_proof(first, second)


async def test_an_event_that_is_too_large_refuses_its_batch_before_anything_is_appended(log):
    room = EVENT_BYTES_MAX - an_event(data={"x": ""}).size_bytes
    async with writing(log) as sequencer:
        app = app_of(log, sequencer)
        with pytest.raises(EventTooLarge) as refused:
            await app.append([an_event("good"), an_event(data={"x": "y" * (room + 1)})])
        assert [violation.field for violation in refused.value.violations] == ["events[1]"]
        assert len(log.entries) == 300
        assert (await app.append([an_event(data={"x": "y" * room})])).results[0].index == 300


async def test_more_events_than_a_commit_holds_are_refused_before_anything_is_appended(log):
    async with writing(log) as sequencer:
        app = app_of(log, sequencer)
        with pytest.raises(Invalid) as refused:
            await app.append(some_events(BATCH_EVENTS_MAX + 1, "too many"))
        assert [violation.field for violation in refused.value.violations] == ["events"]
        assert "at most 1000 together, were 1001" in refused.value.violations[0].description
        assert len(log.entries) == 300
        assert len((await app.append(some_events(BATCH_EVENTS_MAX, "as many"))).results) == BATCH_EVENTS_MAX


async def test_a_follower_is_woken_by_growth_that_came_while_it_was_looking():
    growing = Growing(poll_s=3600)

    class Announcing(Seen):
        def committed(self, checkpoint, entries):
            super().committed(checkpoint, entries)
            growing.announce()

    class GrowsWhileRead(MemoryLog):
        async def sized_matching(self, *arguments, **options):
            found = await super().sized_matching(*arguments, **options)
            if len(self.entries) == 2:
                await sequencer.append(some_events(3, "meanwhile"))
            return found

    log = GrowsWhileRead(ORIGIN)
    async with writing(log, Announcing()) as sequencer:
        await sequencer.append(some_events(2))
        tail = app_of(log, growing=growing).tail(EntryFilter(), start=0, follow=True)
        batches = [await anext(tail), await asyncio.wait_for(anext(tail), timeout=30)]

    assert [([entry.index for entry in entries], after) for entries, after in batches] == [([0, 1], 2), ([2, 3, 4], 5)]


async def test_proofs_stay_right_while_the_log_grows_and_at_every_size_that_it_had():
    log = MemoryLog(ORIGIN)
    app = app_of(log)
    async with writing(log) as sequencer:
        for count in (1, 254, 1, 40, 700, 256):
            await sequencer.append(some_events(count, f"of {len(log.entries)}"))
            for size in log.checkpoints:
                for index in {0, size // 2, size - 1} if size else ():
                    proof = await app.inclusion_proof(index, size)
                    assert (proof.index, proof.checkpoint.checkpoint.size) == (index, size)
                    assert proof.leaf == log.entries[index].leaf


async def test_what_was_kept_of_a_bent_log_is_not_kept_when_it_was_mended(log):
    app, good = app_of(log), log.full_tiles.copy()
    log.full_tiles = dict.fromkeys(good, bytes(32))
    with pytest.raises(LogRootMismatch):
        await app.inclusion_proof(270)
    log.full_tiles = good

    assert (await app.inclusion_proof(270)).leaf == log.entries[270].leaf
