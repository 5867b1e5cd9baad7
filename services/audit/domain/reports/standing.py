"""What holds until the next of its kind is said: an instrument's public names, who a client is, and its mandate.

An order does not repeat these. What counts for it is the last that the log has before the order.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.audit.domain.reports.base import Fact
from services.kernel.canonical import JsonValue

IDENTIFIED, PROFILE = "decision.instrument.identified", "policy.profile.recorded"
CONSENTED, WITHDRAWN = "policy.consent.recorded", "policy.consent.withdrawn"
STANDING_KINDS = (IDENTIFIED, PROFILE, CONSENTED, WITHDRAWN)

# By whom a client is meant: the account's own word comes before its household's.
CLIENT_KINDS = ("account", "household")
# The kind of consent by which a client has the firm decide (MiFID II, Art. 4(1)(8); 17 CFR 275.204-2(a)(3)).
MANDATE = "discretionary-mandate"


@dataclass(slots=True)
class Standing:
    """Facts by what they are about, in the order of the log."""

    _said: dict[tuple[str, str], list[Fact]] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> "Standing":
        """Keep those of `facts` that hold on."""
        found = cls()
        for fact in facts:
            match fact.kind:
                case kind if kind == IDENTIFIED:
                    found._add(IDENTIFIED, fact.about("instrument"), fact)
                case kind if kind == PROFILE and fact.data.get("identity"):
                    found._add(PROFILE, _client(fact), fact)
                case kind if kind in (CONSENTED, WITHDRAWN) and fact.data.get("kind") == MANDATE:
                    found._add(MANDATE, _client(fact), fact)
                case _:
                    pass
        return found

    def instrument(self, instrument_id: str | None, before: int) -> Fact | None:
        """Return by which public names an instrument went, for the entry at `before`."""
        return self._last(IDENTIFIED, instrument_id, before)

    def client(self, owners: Iterable[str], before: int) -> Fact | None:
        """Return who a client was, by the first of `owners` (`kind:id`) that says it."""
        return next((fact for each in owners if (fact := self._last(PROFILE, each, before))), None)

    def mandate(self, owners: Iterable[str], before: int) -> Fact | None:
        """Return the last word on a client's mandate, by the first of `owners` that says anything."""
        return next((fact for each in owners if (fact := self._last(MANDATE, each, before))), None)

    def _add(self, what: str, about: str | None, fact: Fact) -> None:
        if about is not None:
            self._said.setdefault((what, about), []).append(fact)

    def _last(self, what: str, about: str | None, before: int) -> Fact | None:
        said = self._said.get((what, about or ""), [])
        at = bisect_left(said, before, key=lambda fact: fact.index)
        return said[at - 1] if at else None


def in_force(mandate: Fact | None, until: str | None) -> bool | None:
    """Return whether a mandate was in force, up to the instant `until`; None when the log never spoke of one."""
    if mandate is None:
        return None
    expires = mandate.data.get("expire_time")
    return mandate.kind == CONSENTED and (expires is None or until is None or str(expires) > until)


def personal(fact: Fact | None, member: str) -> JsonValue:
    """Return what a client's identity says of `member`, or where it stands when it is sealed."""
    said = {} if fact is None else fact.data["identity"]
    value: JsonValue = said.get(member)
    if fact is not None and isinstance(value, dict):
        return f"sealed in entry {fact.index}, identity.{member}"
    return value


def _client(fact: Fact) -> str | None:
    return next((f"{kind}:{each}" for kind in CLIENT_KINDS if (each := fact.about(kind))), None)
