"""What a rule says about a document."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    WARNING = "warning"
    """Odd, but allowed."""
    ERROR = "error"
    """Refused."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong or odd.

    Attributes:
        severity: How bad it is.
        rule: Stable name of the rule, for instance `WEIGHTS_SUM`.
        fields: Paths of the fewest fields that conflict.
        description: What is wrong, with the value and the limit.
    """

    severity: Severity
    rule: str
    fields: tuple[str, ...]
    description: str


def error(rule: str, fields: tuple[str, ...], description: str) -> Finding:
    """Return a finding that refuses the document."""
    return Finding(Severity.ERROR, rule, fields, description)


def warning(rule: str, fields: tuple[str, ...], description: str) -> Finding:
    """Return a finding that people should look at."""
    return Finding(Severity.WARNING, rule, fields, description)
