"""Seals what is personal in events before they become entries."""

from collections.abc import Mapping, Sequence

from services.audit.app.governed import SubjectKeys
from services.audit.app.ports import LogReader
from services.audit.domain.entry import Event, parse_entry
from services.audit.domain.personal import (
    PERSONAL_FIELDS,
    SubjectKey,
    key_name,
    same_but_for_sealed,
    sealed_event,
    sealed_fields,
    subjects_of,
)


class Sealer:
    """Seals events by the keys of the subjects that they tell of."""

    def __init__(self, keys: SubjectKeys, log: LogReader) -> None:
        """Seal by `keys`; `log` tells what was recorded under a key that is destroyed."""
        self._keys = keys
        self._log = log

    async def sealed(self, events: Sequence[Event]) -> Sequence[Event]:
        """Return `events` as they may be recorded, in their order."""
        if PERSONAL_FIELDS.keys().isdisjoint({event.kind for event in events}):
            return events
        subjects = sorted({subject for event in events for subject in subjects_of(event)})
        if not subjects:
            return events
        keys = await self._keys.newest(subjects)
        erased = await self._keys.destroyed(subjects)
        sealed: list[Event] = []
        for event in events:
            becomes = sealed_event(event, keys)
            if erased and subjects_of(event) & erased:
                becomes = await self._as_recorded(event, keys) or becomes
            sealed.append(becomes)
        return sealed

    async def _as_recorded(self, event: Event, keys: Mapping[str, SubjectKey]) -> Event | None:
        """Return a repeat of an event as it was recorded, when it can no longer be compared whole: its key is gone."""
        index = await self._log.index_of(event.event_id)
        body = None if index is None else await self._log.body(index)
        if body is None:
            return None
        recorded = parse_entry(body).event
        named = [key_name(sealed) for _, sealed in sealed_fields(recorded)]
        if all(subject in keys and keys[subject].generation == generation for subject, generation in named):
            return None
        return recorded if same_but_for_sealed(recorded, event) else None
