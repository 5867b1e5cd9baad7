"""What do they get when they ask for messages again?

Application messages and rejects as possible duplicates; gap fills for what belongs to the session, for what is not in
the journal, and for what is too old: an aged order is never sent again, its sender asks for its state instead.

Source: FIX specification 4.4, volume 2, Resend Request (2) and Sequence Reset (4): all administrative messages but
Reject are gap-filled.
"""

from collections.abc import Iterable
from datetime import datetime

from services.execution.fix.protocol.actions import Action, GapFilled, Transmit
from services.execution.fix.protocol.composer import Composer
from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.protocol.dictionary import ADMIN_TYPES
from services.execution.fix.protocol.store import Entry

_NEVER_AGAIN = ADMIN_TYPES - {"3"}


class Resender:
    """Answers one ResendRequest, page by page of the journal."""

    def __init__(self, config: SessionConfig, composer: Composer, first: int, last: int, now: datetime) -> None:
        """Answer for `first` to `last`, both included, as of `now`."""
        self._ages = config.ages
        self._composer = composer
        self._now = now
        # The first number that is not answered for yet.
        self._next = first
        self._last = last

    def page(self, entries: Iterable[Entry]) -> list[Action]:
        """Return what to write for the journal's next entries, which come by number."""
        actions: list[Action] = []
        aged: list[Entry] = []
        for entry in entries:
            if entry.msg_type in _NEVER_AGAIN:
                continue
            age_max = self._ages.get(entry.msg_type)
            if age_max is not None and self._now - entry.time > age_max:
                aged.append(entry)
                continue
            self._fill(entry.number, actions)
            actions.append(Transmit(self._composer.again(entry, self._now)))
            self._next = entry.number + 1
        if aged:
            actions.append(GapFilled(tuple(aged)))
        return actions

    def finish(self) -> list[Action]:
        """Return what to write for the rest."""
        actions: list[Action] = []
        self._fill(self._last + 1, actions)
        return actions

    def _fill(self, up_to: int, actions: list[Action]) -> None:
        if self._next < up_to:
            actions.append(Transmit(self._composer.gap_fill(self._next, up_to, self._now)))
            self._next = up_to
