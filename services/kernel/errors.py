"""What can go wrong, said as facts.

A caller must know what to do next: fix the request, read again, wait, or call a person. So every error is a `Fact`:
its class says what to do (and becomes the gRPC code), its `reason` is the stable name that clients branch on, and its
keyword arguments are the changing parts of the message. The translation to gRPC happens once, in `services.runtime`.

Each `reason` is a value of the enum `evenkeel.common.v1.ErrorReason`, without the enum's prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

# A request may hold a million rows; this many violations are enough to see what is wrong with them.
VIOLATIONS_SHOWN_MAX = 100

DEFAULT_RETRY_AFTER_S = 1.0


class Fact(Exception):
    """An error that a caller can act on."""

    reason: str

    def __init__(self, message: str, **facts: object) -> None:
        """Say what is wrong.

        Args:
            message: One sentence with the value and the limit.
            facts: The changing parts of the message. They are sent to the caller, as text.

        Raises:
            TypeError: The class does not say its `reason`.
        """
        if not getattr(self, "reason", ""):
            raise TypeError(f"{type(self).__name__} has no reason; raise a subclass that names one")
        super().__init__(message)
        self.message = message
        self.facts = facts


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request.

    `field` is its path (`lots[3].quantity`); `description` says the value and the limit.
    """

    field: str
    description: str


class Invalid(Fact):
    """The request cannot be right, whatever the state: fix the request."""

    reason = "FIELD_INVALID"

    def __init__(self, message: str, *, violations: Sequence[FieldViolation] = (), **facts: object) -> None:
        """Say what is wrong, and with which fields."""
        super().__init__(message, **facts)
        self.violations = tuple(violations)

    @classmethod
    def of(cls, field: str, description: str) -> Self:
        """Return the error that one field is wrong, as in `quantity: must be positive, was -1`."""
        return cls(f"{field}: {description}", violations=[FieldViolation(field, description)])


class NotFound(Fact):
    """Nothing has this id: fix the id."""


class Duplicate(Fact):
    """The id is taken: choose a new one."""


class Rejected(Fact):
    """The state does not allow it: change the state first."""


class Conflict(Fact):
    """Another caller was faster: read again, decide again."""

    reason = "VERSION_CONFLICT"


class Denied(Fact):
    """The caller may not do this: ask a person who may."""


class Unauthenticated(Fact):
    """We do not know who calls: send a valid token."""


class Overloaded(Fact):
    """Too much at once: wait, then repeat."""

    def __init__(self, message: str, *, retry_after_s: float = DEFAULT_RETRY_AFTER_S, **facts: object) -> None:
        """Say what is full, and after how many seconds a repeat makes sense."""
        super().__init__(message, **facts)
        self.retry_after_s = retry_after_s


class Unreachable(Fact):
    """Something we depend on does not answer: repeat with the same request id."""


class Corrupt(Fact):
    """Stored data contradicts itself: stop and call a person."""


class Violations:
    """Collects what is wrong with a request, so that its sender can fix everything at once.

    Keeps the first `VIOLATIONS_SHOWN_MAX` and counts the rest.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._shown: list[FieldViolation] = []
        self._count = 0

    def __len__(self) -> int:
        """Return how many were added."""
        return self._count

    def add(self, field: str, description: str) -> None:
        """Note that `field` is wrong; `description` says the value and the limit."""
        self._count += 1
        if len(self._shown) < VIOLATIONS_SHOWN_MAX:
            self._shown.append(FieldViolation(field, description))

    def raise_if_any(self, error: type[Invalid] = Invalid) -> None:
        """Raise `error` with everything collected, if anything was.

        Raises:
            Invalid: At least one violation was added.
        """
        if self._count == 0:
            return
        first = self._shown[0]
        rest = f" (and {self._count - 1} more)" if self._count > 1 else ""
        raise error(f"{first.field}: {first.description}{rest}", violations=self._shown, violation_count=self._count)
