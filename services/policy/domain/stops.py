"""An emergency stop: trading pauses, or its limits tighten, now, and nobody has to approve it.

One person may do this alone because a stop can only make things safer. That is not a promise of whoever writes it but
follows from how it is applied: after everything on the path is merged, each field takes the *tighter* of the value that
applies and the value that the stop says. `TIGHTER` says for each field that a stop may set what tighter means; fields
whose tightening would itself cause trades, such as a weight limit or an exclusion, are not among them.

Two times as everywhere: a stop holds from `effective_time` on, as known from `recorded_time` on; lifting it likewise.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.kernel.canonical import canonical_json, content_hash
from services.kernel.errors import Violations
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.kernel.money import Money
from services.policy.domain.content import plain_value
from services.policy.domain.document import FIELDS, Document, Restriction, RestrictionKind
from services.policy.domain.errors import SelfResume, StopNotSafer, StopState
from services.policy.domain.fields import Merge
from services.policy.domain.guardrails import number_of
from services.policy.domain.history import AsOf
from services.policy.domain.merge import Effective, Layer

# Restrictions that only forbid trades; an exclusion makes decision sell.
_FORBIDS_ONLY = frozenset({RestrictionKind.NO_BUY, RestrictionKind.NO_SELL, RestrictionKind.NO_TRADE})


def _lower(before: object, after: object) -> object:
    if before is None or not isinstance(before, Decimal | int) or not isinstance(after, Decimal | int):
        return after
    return min(before, after)


def _less(before: object, after: object) -> object:
    """Return the smaller amount; of two currencies, which cannot be compared, nothing, so that everything waits."""
    if not isinstance(before, Money) or not isinstance(after, Money):
        return after
    if before.currency == after.currency:
        return min(before, after, key=lambda each: each.amount)
    return Money(Decimal(0), min(before.currency, after.currency))


def _either(before: object, after: object) -> object:
    return before is True or after is True


def _all(before: object, after: object) -> object:
    both = (before if isinstance(before, tuple) else ()) + (after if isinstance(after, tuple) else ())
    return tuple(dict.fromkeys(both))


TIGHTER: Mapping[str, Callable[[object, object], object]] = {
    "safety.paused": _either,
    "safety.daily_orders_limit": _lower,
    "safety.daily_value_limit": _less,
    "safety.review_turnover": _lower,
    "safety.review_value": _less,
    "safety.review_gain": _less,
    "safety.review_tax": _less,
    "safety.review_cost_bps": _lower,
    "safety.pause_drift": _lower,
    "cost.turnover_limit": _lower,
    "tax.gain_budget": _less,
    "tax.yearly_allowance": _less,
    "risk.tracking_error_limit": _lower,
    "risk.volatility_limit": _lower,
    "risk.tail_loss_limit": _lower,
    "risk.drawdown_limit": _lower,
    "risk.names_limit": _lower,
    "data.price_age_max_s": _lower,
    "data.snapshot_age_max_s": _lower,
    "data.plan_life_s": _lower,
    "restrictions.items": _all,
}
"""What a stop may set; each function returns the tighter of two values, where None is no limit."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop of a node and everything under it.

    Guarantees: `document` can only make things safer; lifted at most once, by somebody else.

    Attributes:
        version_id: Names it among the versions of an effective policy.
        effective_time: The business instant from which on it holds.
        recorded_time: When that was recorded.
        lifter: Who lifted it; None while it holds.
        lift_time: The business instant from which on it does not hold.
        lift_recorded_time: When that was recorded.
    """

    stop_id: ChangeId
    node_id: PolicyNodeId
    document: Document
    version_id: PolicyVersionId
    reason: str
    actor: str
    effective_time: datetime
    recorded_time: datetime
    lifter: str | None = None
    lift_reason: str = ""
    lift_time: datetime | None = None
    lift_recorded_time: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what is not safer, and a lifter who created it."""
        check_only_safer(self.document)
        if self.lifter is not None and self.lifter == self.actor:
            raise SelfResume(f"{self.actor} created stop {self.stop_id} and cannot lift it", stop_id=self.stop_id)

    def holds(self, as_of: AsOf) -> bool:
        """Return whether it holds at an instant, as known at an instant."""
        known = as_of.known_time
        if self.effective_time > as_of.valid_time or (known is not None and self.recorded_time > known):
            return False
        if self.lift_time is None or self.lift_recorded_time is None:
            return True
        return as_of.valid_time < self.lift_time or (known is not None and self.lift_recorded_time > known)

    def lifted(self, by: str, *, reason: str, at: datetime, market_time: datetime) -> "Stop":
        """Return the stop as `by` lifted it.

        Raises:
            SelfResume: `by` created it.
            StopState: It is lifted already.
        """
        if self.lifter is not None:
            raise StopState(f"stop {self.stop_id} was lifted by {self.lifter}", stop_id=self.stop_id)
        # A market clock that was set back must not end a stop before it began.
        ended = max(market_time, self.effective_time)
        return replace(self, lifter=by, lift_reason=reason, lift_time=ended, lift_recorded_time=at)

    @property
    def layer(self) -> Layer:
        """Return who said what, as the other versions of a path say it; nobody approved it."""
        return Layer(
            node_id=self.node_id,
            version_id=self.version_id,
            document=self.document,
            change_id=self.stop_id,
            author=self.actor,
            approver="",
            reason=self.reason,
            effective_time=self.effective_time,
            approved_time=self.recorded_time,
        )


def stopped(
    stop_id: ChangeId,
    node_id: PolicyNodeId,
    document: Document,
    *,
    reason: str,
    actor: str,
    at: datetime,
    market_time: datetime,
) -> Stop:
    """Return a new stop.

    Raises:
        StopNotSafer: `document` sets what a stop cannot set.
    """
    content = canonical_json({"stop_id": stop_id, "node_id": node_id, "document": plain_value(document)})
    name = PolicyVersionId(content_hash(content))
    return Stop(stop_id, node_id, document, name, reason, actor, market_time, at)


def check_only_safer(document: Document) -> None:
    """Refuse a document that could loosen anything.

    Raises:
        StopNotSafer: Names each field that a stop cannot set, or not to this value.
    """
    violations = Violations()
    said = FIELDS.set_in(document)
    for field, value in said:
        at = f"document.{field.path}"
        if field.path not in TIGHTER:
            violations.add(at, f"cannot be set by a stop; it may set {', '.join(TIGHTER)}")
        elif value is False:
            violations.add(at, "must be true in a stop, was false")
        elif isinstance(value, tuple):
            for item in value:
                if not isinstance(item, Restriction) or item.kind not in _FORBIDS_ONLY:
                    kinds = ", ".join(sorted(_FORBIDS_ONLY))
                    violations.add(at, f"must be {kinds} in a stop, was {getattr(item, 'kind', item)}")
        elif field.number is not None and (number := number_of(value)) is not None:
            wrong = field.number.violation(number)
            if wrong is not None:
                violations.add(at, wrong)
    if not said:
        violations.add("document", "must set a field, was empty")
    violations.raise_if_any(StopNotSafer)


def tightened(effective: Effective, stops: Iterable[Stop]) -> Effective:
    """Return what applies to a node when `stops` hold at it or above it; never looser than `effective`."""
    for stop in stops:
        effective = _tightened(effective, stop.layer)
    return effective


def as_safe(before: Document, after: Document) -> bool:
    """Return whether `after` is nowhere looser than `before`: equal, but for fields that are tighter."""
    for field in FIELDS:
        old, new = field.read(before), field.read(after)
        if old == new:
            continue
        tighter = TIGHTER.get(field.path)
        if tighter is None or _as_set(tighter(old, new)) != _as_set(new):
            return False
    return True


def _tightened(effective: Effective, layer: Layer) -> Effective:
    values: dict[str, object] = {}
    sources = dict(effective.sources)
    for field, said in FIELDS.set_in(layer.document):
        before = field.read(effective.document)
        after = TIGHTER[field.path](before, said)
        if _as_set(after) != _as_set(before):
            values[field.path] = after
            sources[field.path] = (*sources.get(field.path, ()), layer) if field.merge is Merge.GATHER else (layer,)
    return replace(
        effective,
        document=FIELDS.replaced(effective.document, values),
        layers=(*effective.layers, layer),
        sources=sources,
    )


def _as_set(value: object) -> object:
    return frozenset(value) if isinstance(value, tuple) else value
