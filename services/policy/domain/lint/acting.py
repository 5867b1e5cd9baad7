"""Which fields does nobody act on yet?

A field that is accepted and then ignored is worse than one that is missing: its author believes that it holds. So a
document that sets one of these is refused, with the reason. Whoever teaches decision or execution to act on a field
takes it off this list, and the contract test of the two services' readings shows that nothing else is ignored.
"""

from collections.abc import Callable, Iterator, Mapping

from services.policy.domain.document import FIELDS, Document, Schedule
from services.policy.domain.lint.finding import Finding, error

NOT_ACTED_ON: Mapping[str, str] = {
    "execution.participation_limit": "execution has its own limits of participation and takes none from a policy yet",
}
"""Why each field is not acted on, by path."""

# Of a field that is acted on, the values that are not.
_VALUES: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "execution.schedule": (
        lambda value: value is not Schedule.IMMEDIATE,
        "execution chooses schedules by its own rules and takes no other than immediate from a policy yet",
    ),
}


def everything_is_acted_on(document: Document) -> Iterator[Finding]:
    """Yield an error for each field that is set and that nobody acts on."""
    for field, value in FIELDS.set_in(document):
        why = NOT_ACTED_ON.get(field.path)
        if why is None and field.path in _VALUES:
            refused, reason = _VALUES[field.path]
            why = reason if refused(value) else None
        if why is not None:
            yield error("NOT_ACTED_ON", (field.path,), f"would be accepted and then ignored: {why}")
