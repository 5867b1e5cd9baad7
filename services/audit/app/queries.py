"""What compliance asks of one log: stories, states as of an instant, approvals, and who looked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.audit.app.access import EVERY_ACCOUNT, SCOPE
from services.audit.app.audit import AuditApp
from services.audit.app.ports import LogReader
from services.audit.domain.account_record import ProvenEntry
from services.audit.domain.approvals import APPROVAL_KINDS, Approval, approval_of, approves
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.entry import ACCOUNT, Entry
from services.audit.domain.errors import SubjectUnknown, TreeSizeUnknown
from services.audit.domain.filter import EntryFilter
from services.audit.domain.story import Story, Subject
from services.kernel.errors import FieldViolation, Invalid

# Of one answer, which so stays within every client's usual limit of 4 MiB.
ANSWER_ENTRIES_MAX = 1_000
ANSWER_BYTES_MAX = 1_200_000
# Kinds of events about one subject that are shown as of an instant.
KINDS_MAX = 200
_LOOK_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class ToldStory:
    """A story: its entries with the paths to the root of `checkpoint`, and everything it is about."""

    entries: tuple[Entry, ...]
    proven: tuple[ProvenEntry, ...]
    subjects: tuple[Subject, ...]
    checkpoint: SignedCheckpoint
    truncated: bool


@dataclass(frozen=True, slots=True)
class AsOf:
    """Of each kind of event about a subject the newest at an instant, by kind, with paths to that instant's root."""

    entries: tuple[Entry, ...]
    proven: tuple[ProvenEntry, ...]
    checkpoint: SignedCheckpoint


@dataclass(frozen=True, slots=True)
class Found:
    """A page of entries, newest first; `cursor` is where the next begins, None after the last."""

    entries: tuple[Entry, ...]
    tree_size: int
    cursor: int | None


class Queries:
    """Answers what compliance asks of one log."""

    def __init__(self, *, app: AuditApp, log: LogReader) -> None:
        """Read from `log`, and prove by `app`."""
        self._app = app
        self._log = log

    async def story(self, kind: str, subject_id: str) -> ToldStory:
        """Return the story of the `kind` of thing called `subject_id`.

        Raises:
            Invalid: No story is about this kind of thing.
            SubjectUnknown: Nothing is recorded about it.
        """
        try:
            story = Story(kind, subject_id)
        except ValueError as error:
            violation = FieldViolation("subject.kind", str(error))
            raise Invalid(f"subject.kind: {error}", violations=[violation]) from error
        signed = await self._app.checkpoint()
        size = signed.checkpoint.size
        truncated, looked = False, 0
        while wanted := list(story.wanted()):
            for found in await self._log.matching_each(wanted, stop=size, limit=_LOOK_ENTRIES):
                truncated |= len(found) == _LOOK_ENTRIES
                looked += len(found)
                story.add(found)
            if looked >= 4 * ANSWER_ENTRIES_MAX:
                truncated = True
                break
        entries = story.entries
        if not entries:
            raise SubjectUnknown(f"nothing is recorded about {kind} {subject_id}", kind=kind, id=subject_id)
        kept = _fitting(entries)
        proven = await self._app.proven([entry.body for entry in kept], signed)
        return ToldStory(kept, tuple(proven), tuple(story.subjects), signed, truncated or len(kept) < len(entries))

    async def as_of(self, kind: str, subject_id: str, instant: datetime | None) -> AsOf:
        """Return what was known about a thing at `instant`, or is now: of each kind of event the newest.

        Raises:
            TreeSizeUnknown: The log did not exist then.
        """
        size = None if instant is None else await self._log.size_at(instant)
        if size is None and instant is not None:
            raise TreeSizeUnknown(f"the log did not exist at {instant.isoformat()}")
        signed = await self._app.checkpoint(size)
        about = EntryFilter(subjects={kind: subject_id})
        newest: dict[str, Entry] = {}
        stop = signed.checkpoint.size
        while len(newest) < KINDS_MAX:
            found = await self._log.matching(about, start=0, stop=stop, limit=_LOOK_ENTRIES, descending=True)
            for entry in found:
                newest.setdefault(entry.event.kind, entry)
                stop = entry.index
            if len(found) < _LOOK_ENTRIES:
                break
        entries = _fitting([entry for _, entry in sorted(newest.items())])
        return AsOf(entries, tuple(await self._app.proven([entry.body for entry in entries], signed)), signed)

    async def approvals(
        self, about: EntryFilter, *, limit: int, tree_size: int | None = None, cursor: int | None = None
    ) -> tuple[tuple[Approval, ...], Found]:
        """Return the newest `limit` approvals among the entries `about`, newest first."""
        found = await self._newest_of(
            [replace(about, kind=kind) for kind in APPROVAL_KINDS],
            limit=limit,
            tree_size=tree_size,
            cursor=cursor,
            shown=approves,
        )
        return tuple([await self._approval(entry, found.tree_size) for entry in found.entries]), found

    async def _approval(self, entry: Entry, size: int) -> Approval:
        approval = approval_of(entry)
        run = entry.event.subjects.get("run")
        if approval.author or run is None:
            return approval
        # A plan is made by the service, in a run that somebody started.
        first = EntryFilter(kind="decision.run.*", subjects={"run": run})
        started = await self._log.matching(first, start=0, stop=size, limit=1)
        return replace(approval, author=started[0].event.actor) if started else approval

    async def accesses(
        self, about: EntryFilter, *, limit: int, tree_size: int | None = None, cursor: int | None = None
    ) -> Found:
        """Return the newest `limit` questions `about` somebody; with an account, also those that may have shown it."""
        asked = replace(about, kind="audit.access.*")
        account = about.subjects.get(ACCOUNT)
        if account is None:
            return await self._newest_of([asked], limit=limit, tree_size=tree_size, cursor=cursor)
        broad = replace(asked, subjects={SCOPE: EVERY_ACCOUNT})
        return await self._newest_of(
            [asked, broad],
            limit=limit,
            tree_size=tree_size,
            cursor=cursor,
            shown=lambda entry: _may_have_shown(entry, account),
        )

    async def _newest_of(
        self,
        filters: Sequence[EntryFilter],
        *,
        limit: int,
        tree_size: int | None,
        cursor: int | None,
        shown: Callable[[Entry], bool] = lambda _: True,
    ) -> Found:
        """Return the newest `limit` entries that match any of `filters` and are to be `shown`, newest first."""
        size = (await self._app.checkpoint()).checkpoint.size if tree_size is None else tree_size
        stop = size if cursor is None else cursor
        entries: list[Entry] = []
        while True:
            step = min(_LOOK_ENTRIES, limit)
            of_each = {
                entry.index: entry
                for each in filters
                for entry in await self._log.matching(each, start=0, stop=stop, limit=step, descending=True)
            }
            found = [entry for _, entry in sorted(of_each.items(), reverse=True)]
            # Beyond the first `step`, one filter may have more that another's last ones hide.
            for entry in found[:step]:
                stop = entry.index
                if shown(entry):
                    entries.append(entry)
                    if len(entries) == limit:
                        kept = _fitting(entries)
                        return Found(kept, size, kept[-1].index)
            if len(found) < step:
                kept = _fitting(entries)
                return Found(kept, size, kept[-1].index if len(kept) < len(entries) else None)


def _may_have_shown(access: Entry, account: str) -> bool:
    listed = access.event.data_members.get("accounts")
    return listed is None or account in listed or access.event.account == account


def _fitting(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return as many of `entries` as fit one answer, at least one."""
    kept: list[Entry] = []
    room = ANSWER_BYTES_MAX
    for entry in entries[:ANSWER_ENTRIES_MAX]:
        room -= len(entry.body)
        if kept and room < 0:
            break
        kept.append(entry)
    return tuple(kept)
