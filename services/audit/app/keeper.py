"""Does what two people decided about the record: destroys partitions whose time is over, and keys of personal data.

Everything is checked again, entry by entry, before anything is destroyed, because what was true when it was approved
may not be now. That the check and the destruction see the same holds is by `governing`, which placing a hold needs too.

If the process dies between two steps, the next one goes on: a proposal that is approved is checked; one whose check is
recorded as passed is destroyed, if it is still there, and finished. A hold that came in between stops it all the same,
while anything is there to be held.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from services.audit.app.governed import SubjectKeys
from services.audit.app.ports import LogReader
from services.audit.app.records import RecordsApp
from services.audit.domain.entry import Entry, parse_entry
from services.audit.domain.errors import HoldStands, RetentionRunning
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import Frontier, leaf_hash
from services.audit.domain.records import Action, Proposal, Records, State
from services.audit.domain.sequencing import AUDIT_ACTOR
from services.kernel.canonical import JsonValue, rfc3339

_STEP_ENTRIES = 1_000
# Reasons of a refusal that are recorded; one is enough to know that it is refused.
_BLOCKERS_TOLD_MAX = 10
# How often the worker looks without being told, in seconds: another process may have taken the decision.
LOOK_S = 30.0
# The same while this process does not hold the log.
LOOK_FOR_HOLD_S = 1.0


class Disposer(Protocol):
    """Drops partitions, by a database role that can do nothing else."""

    async def keep_numbers(self, proposal: Proposal, numbers: Mapping[str, tuple[int, int]]) -> None:
        """Keep the first and the last number of each account in the partition, so that numbering goes on."""
        ...

    async def drop(self, proposal: Proposal) -> None:
        """Drop the partition that `proposal` names, when it is there. Safe to repeat.

        The database itself refuses a disposal that a single person made.
        """
        ...


class Assessment:
    """What is in a partition, and what forbids to destroy it."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.entries = 0
        self.blocker_count = 0
        self.blockers: list[str] = []
        self.by_class: dict[str, int] = {}
        self.numbers: dict[str, tuple[int, int]] = {}
        self.first: Entry | None = None
        self.last: Entry | None = None
        self._frontier = Frontier()

    @property
    def root(self) -> bytes:
        """The root over the leaves of the entries seen."""
        return self._frontier.root()

    def add(self, entry: Entry, records: Records, why_kept: str | None) -> None:
        """Look at one entry."""
        self.entries += 1
        if why_kept is not None:
            self.blocker_count += 1
            if len(self.blockers) < _BLOCKERS_TOLD_MAX:
                self.blockers.append(why_kept)
        rule = records.kept(entry.event.kind, entry.recorded_time).rule
        name = "none" if rule is None else rule.class_id
        self.by_class[name] = self.by_class.get(name, 0) + 1
        if entry.event.account is not None:
            first, _ = self.numbers.get(entry.event.account, (entry.account_sequence, 0))
            self.numbers[entry.event.account] = (first, entry.account_sequence)
        self._frontier = self._frontier.extended([leaf_hash(entry.body)])
        self.first = self.first or entry
        self.last = entry

    def data(self, records: Records) -> dict[str, JsonValue]:
        """Return what the log records of it."""
        citations = {
            name: records.classes[name][-1].rule.citation for name in sorted(self.by_class) if name in records.classes
        }
        return {
            "entries": self.entries,
            "entries_by_class": {name: self.by_class[name] for name in sorted(self.by_class)},
            "citations": dict(citations),
            "root": f"sha256:{self.root.hex()}",
            "first_recorded_time": None if self.first is None else rfc3339(self.first.recorded_time),
            "last_recorded_time": None if self.last is None else rfc3339(self.last.recorded_time),
            "accounts": len(self.numbers),
        }


class Keeper:
    """The worker that does it, in the process that holds the log."""

    def __init__(
        self,
        *,
        records: RecordsApp,
        disposer: Disposer | None,
        keys: SubjectKeys | None,
        writing: Callable[[], bool],
        approved: asyncio.Event,
    ) -> None:
        """Do what `records` says was approved, whenever `approved` is set and while this process is `writing`.

        What needs a `disposer` or `keys` is left alone when there are none.
        """
        self._records = records
        self._disposer = disposer
        self._keys = keys
        self._writing = writing
        self._told = approved

    async def run(self, stop: asyncio.Event) -> None:
        """Do what is approved, until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._told.set())
        try:
            while not stop.is_set():
                self._told.clear()
                if self._writing():
                    await self.work()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._told.wait(), LOOK_S if self._writing() else LOOK_FOR_HOLD_S)
        finally:
            stopping.cancel()

    async def work(self) -> None:
        """Do everything that is approved now."""
        for proposal in list((await self._records.records()).proposals.values()):
            if proposal.state is not State.APPROVED:
                continue
            if proposal.action is Action.DISPOSAL and self._disposer is not None:
                if not proposal.destroying:
                    await self._certify(proposal, self._disposer)
                proposal = await self._records.proposal(proposal.proposal_id)  # noqa: PLW2901 - as it is now
                if proposal.destroying:
                    await self._destroy(proposal, self._disposer)
            elif proposal.action is Action.ERASURE and self._keys is not None:
                await self._erase(proposal, self._keys)

    async def _destroy(self, proposal: Proposal, disposer: Disposer) -> None:
        """Destroy what a recorded check allows, unless a hold came since then."""
        log, start, stop = proposal.content["log"], proposal.content["start"], proposal.content["stop"]
        async with self._records.governing():
            records = await self._records.records()
            checked = proposal.destroying_index or 0
            if any(hold.index > checked for hold in records.standing_holds):
                found = await self._assess(records, self._records.reader(log), start, stop)
                if found.blockers:
                    await self._blocked(proposal, found, records)
                    return
            await disposer.drop(proposal)
            await self._records.finish(proposal.proposal_id, done=True, outcome=proposal.outcome, actor=AUDIT_ACTOR)

    async def _certify(self, proposal: Proposal, disposer: Disposer) -> None:
        """Check every entry of a disposal; record that it is about to be destroyed, or by what that is blocked."""
        log, start, stop = proposal.content["log"], proposal.content["start"], proposal.content["stop"]
        while True:
            records = await self._records.records()
            seen = set(records.holds)
            found = await self._assess(records, self._records.reader(log), start, stop)
            async with self._records.governing():
                records = await self._records.records()
                if records.holds.keys() - seen and not found.blockers:
                    # A hold was placed while the entries were read: read them again under it.
                    continue
                if found.entries != stop - start:
                    found.blockers.append(f"{stop - start} entries were expected, {found.entries} are there")
                if found.blockers:
                    await self._blocked(proposal, found, records)
                    return
                decided: dict[str, JsonValue] = {
                    **found.data(records),
                    "log": log,
                    "start": start,
                    "stop": stop,
                    "proposer": proposal.proposer,
                    "decider": proposal.decider,
                }
                # The numbers of its accounts are kept first, then it is recorded, then it is gone.
                await disposer.keep_numbers(proposal, found.numbers)
                await self._records.destroying(proposal.proposal_id, decided, AUDIT_ACTOR)
                return

    async def _blocked(self, proposal: Proposal, found: Assessment, records: Records) -> None:
        """Record by what a disposal is forbidden."""
        outcome: dict[str, JsonValue] = {
            **found.data(records),
            "blocker_count": max(found.blocker_count, 1),
            "blockers": list(found.blockers),
        }
        await self._records.finish(proposal.proposal_id, done=False, outcome=outcome, actor=AUDIT_ACTOR)

    async def _assess(self, records: Records, log: LogReader, start: int, stop: int) -> Assessment:
        found = Assessment()
        at = start
        while at < stop:
            bodies = await log.bodies(EntryFilter(), start=at, stop=min(stop, at + _STEP_ENTRIES), limit=_STEP_ENTRIES)
            if not bodies:
                break
            for body in bodies:
                entry = parse_entry(body)
                found.add(entry, records, self._records.why_kept(records, entry))
            at += len(bodies)
            # A partition is millions of entries, and callers wait.
            await asyncio.sleep(0)
        return found

    async def _erase(self, proposal: Proposal, keys: SubjectKeys) -> None:
        """Destroy the keys that are there now, and record before it which they are."""
        kind, subject_id = str(proposal.content["kind"]), str(proposal.content["id"])
        subject = f"{kind}:{subject_id}"
        async with self._records.governing():
            outcome: Mapping[str, JsonValue] = proposal.outcome
            living = await keys.living(subject)
            # Of those that were there when it was recorded: a client who came back since then has a new one.
            condemned = [each for each in living if not proposal.destroying or each in proposal.outcome["generations"]]
            if condemned or not proposal.destroying:
                try:
                    await self._records.require_erasable(kind, subject_id)
                except (HoldStands, RetentionRunning) as refused:
                    forbidden: dict[str, JsonValue] = {"blockers": [refused.message]}
                    await self._records.finish(proposal.proposal_id, done=False, outcome=forbidden, actor=AUDIT_ACTOR)
                    return
            if not proposal.destroying:
                outcome = {"subject": subject, "keys_destroyed": len(living), "generations": list(living)}
                await self._records.destroying(proposal.proposal_id, outcome, AUDIT_ACTOR)
            await keys.destroy(subject, condemned)
            await self._records.finish(proposal.proposal_id, done=True, outcome=outcome, actor=AUDIT_ACTOR)
