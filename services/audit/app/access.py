"""Who looks at the record is recorded, before they see it.

Each question about entries becomes an entry of the log `access`, durable before the first row leaves. Where that
cannot be done, nothing leaves. So the answer to "who has read this client's data" is complete.

A question names whom it is about, or it is about everybody; the latter is marked by the subject `scope`, so that it is
found for each account that it may have shown.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from services.audit.app.sequencer import Sequencer
from services.audit.domain.entry import ACCOUNT, Entry, Event
from services.audit.domain.sequencing import AUDIT_PRODUCER
from services.kernel.canonical import JsonValue, canonical_json
from services.kernel.clock import Clock

READ_KIND = "audit.access.read"
EXPORTED_KIND = "audit.access.exported"

# The subject of a question that names no account, and so may have shown any.
SCOPE = "scope"
EVERY_ACCOUNT = "every_account"

# Accounts that one record lists; a page has no more entries.
ACCOUNTS_LISTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks: the subject of their token, their roles, and the trace they ask in, empty outside any."""

    subject: str
    roles: frozenset[str] = frozenset()
    trace_parent: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """A question about entries.

    Attributes:
        log: Of which log.
        subjects: Whom it is about; no account among them means that it is about everybody.
        question: What else was asked, as it is to be remembered.
        accounts: The accounts that are shown, when they are known; None when they are not.
        kind: `READ_KIND`, or `EXPORTED_KIND` for a copy that leaves the platform.
    """

    log: str
    subjects: Mapping[str, str] = field(default_factory=dict)
    question: Mapping[str, JsonValue] = field(default_factory=dict)
    accounts: Iterable[str] | None = None
    kind: str = READ_KIND


class AccessLog:
    """Writes down who asks what."""

    def __init__(self, *, sequencer: Sequencer, clock: Clock, new_id: Callable[[], str]) -> None:
        """Record in the log that `sequencer` writes; `new_id` gives a UUID that nobody has, for each question."""
        self._sequencer = sequencer
        self._clock = clock
        self._new_id = new_id

    async def record(self, reader: Reader, method: str, access: Access) -> int:
        """Return the index under which the question is recorded, durably.

        Args:
            reader: Who asks.
            method: What they called, for instance `evenkeel.audit.v1.AuditService/ListEntries`.
            access: What they ask.

        Raises:
            LogBackpressure: Too many events wait.
            LogWriterElsewhere: Another process holds the log `access`.
        """
        data: dict[str, JsonValue] = {
            "log": access.log,
            "method": method,
            "question": dict(access.question),
            "roles": sorted(reader.roles),
        }
        subjects = dict(access.subjects)
        if ACCOUNT not in subjects:
            shown = None if access.accounts is None else sorted(set(access.accounts))
            if shown is not None and len(shown) <= ACCOUNTS_LISTED_MAX:
                data["accounts"] = list(shown)
            if shown != []:
                subjects[SCOPE] = EVERY_ACCOUNT
        event = Event(
            event_id=self._new_id(),
            kind=access.kind,
            occurred_time=self._clock.now(),
            producer=AUDIT_PRODUCER,
            actor=reader.subject,
            trace_parent=reader.trace_parent,
            subjects=subjects,
            data=canonical_json(data),
        )
        return (await self._sequencer.append([event])).results[0].index


def accounts_in(entries: Iterable[Entry]) -> set[str]:
    """Return the accounts that `entries` are about."""
    return {entry.event.account for entry in entries if entry.event.account is not None}
