"""What do a client's preferences come to, as fields of a document?"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from services.kernel.canonical import canonical_json, content_hash
from services.kernel.decimals import EXACT
from services.kernel.ids import InstrumentId, PolicyNodeId, PolicyVersionId
from services.policy.domain.content import plain_value
from services.policy.domain.document import Restriction, RestrictionCause, RestrictionKind
from services.policy.domain.merge import Effective
from services.policy.domain.mixes import Targets, TargetWeight, cash_target, instrument_weights
from services.policy.domain.personal import Outcome, shifted
from services.policy.domain.personal_rules import PreferenceLimits
from services.policy.domain.plain import MixOf, NoMix, worked_out

_ZERO, _ONE, _TWO = Decimal(0), Decimal(1), Decimal(2)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a client does not want to hold: an instrument, or a screen by its name."""

    instrument_id: InstrumentId | None = None
    screen: str | None = None

    @property
    def restriction(self) -> Restriction:
        """Return the restriction that it is."""
        return Restriction(
            self.instrument_id,
            RestrictionKind.EXCLUDED,
            "the client's preference",
            screen=self.screen,
            cause=RestrictionCause.CLIENT,
        )


@dataclass(frozen=True, slots=True)
class Tilt:
    """How much more of an instrument a client wants than the mix has; negative for less."""

    instrument_id: InstrumentId
    shift: Decimal


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a client chose; what is None or empty is left to policy.

    Attributes:
        tax_importance: What counts of a tax paid now, 0 to 1.
        risk_steps: Models up, or down when negative, from the one that the profile leads to.
    """

    tax_importance: Decimal | None = None
    risk_steps: int = 0
    exclusions: tuple[Exclusion, ...] = ()
    tilts: tuple[Tilt, ...] = ()

    def __post_init__(self) -> None:
        """Sort the lists."""
        object.__setattr__(self, "exclusions", tuple(sorted(set(self.exclusions), key=str)))
        object.__setattr__(self, "tilts", tuple(sorted(self.tilts, key=lambda tilt: (tilt.instrument_id, str(tilt)))))

    @property
    def version_id(self) -> PolicyVersionId:
        """Return the hash of the content; clients who chose the same have the same."""
        return PolicyVersionId(content_hash(canonical_json(plain_value(self))))


NONE = Preferences()
"""Leaves everything to policy."""


@dataclass(frozen=True, slots=True)
class PreferencesRecord:
    """Preferences as they were recorded for an account; they hold from `effective_time` on."""

    account_id: PolicyNodeId
    sequence: int
    preferences: Preferences
    author: str
    reason: str
    effective_time: datetime
    recorded_time: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What preferences are judged against: the account's rules without them, at an instant.

    Attributes:
        merged: What applies to the account, its profile's model included.
        outcome: What its profile led to; None without a profile or a rule.
        at: The business instant.
        mix_of: Says what applies to a model's node.
    """

    merged: Effective
    outcome: Outcome | None
    at: datetime
    mix_of: MixOf = field(compare=False)

    @property
    def limits(self) -> PreferenceLimits:
        """Return how far the client may go."""
        return self.merged.document.preferences


def moved_weight(before: Iterable[Tilt], after: Iterable[Tilt]) -> Decimal:
    """Return how much weight going from some tilts to others moves: half of what changes."""
    shifts: dict[InstrumentId, Decimal] = {}
    for sign, tilts in ((-1, before), (1, after)):
        for tilt in tilts:
            shifts[tilt.instrument_id] = EXACT.add(shifts.get(tilt.instrument_id, _ZERO), sign * tilt.shift)
    total = _ZERO
    for shift in shifts.values():
        total = EXACT.add(total, abs(shift))
    return EXACT.divide(total, _TWO)


def says(preferences: Preferences, standing: Standing) -> dict[str, dict[str, object]]:
    """Return what each part says, as fields of a document; nothing for what cannot be worked out."""
    said: dict[str, dict[str, object]] = {}
    if preferences.tax_importance is not None:
        said["tax_importance"] = {"objective.tax_importance": preferences.tax_importance}
    if preferences.exclusions:
        said["exclusions"] = {"restrictions.items": tuple(each.restriction for each in preferences.exclusions)}
    model = _model(preferences, standing)
    if preferences.risk_steps and model is not None:
        said["risk_steps"] = {
            "targets.weights": (TargetWeight(_ONE, model_node_id=model),),
            "targets.cash_weight": _ZERO,
            "targets.model_name": str(model),
        }
    if preferences.tilts:
        shifts = {tilt.instrument_id: tilt.shift for tilt in preferences.tilts}
        mix, cash = weights_of(preferences, standing)
        if mix and all(EXACT.add(mix.get(each, -_ONE), shift) >= 0 for each, shift in shifts.items()):
            lines = tuple(
                TargetWeight(EXACT.add(weight, shifts.get(each, _ZERO)), each) for each, weight in sorted(mix.items())
            )
            said["tilts"] = {"targets.weights": lines, "targets.cash_weight": cash}
    return said


def _model(preferences: Preferences, standing: Standing) -> PolicyNodeId | None:
    """Return the model that the client's steps lead to, None without a profile's model."""
    if standing.outcome is None:
        return None
    return shifted(standing.merged.document.profile_rule, standing.outcome.model, preferences.risk_steps).model_node_id


def weights_of(preferences: Preferences, standing: Standing) -> tuple[dict[InstrumentId, Decimal], Decimal]:
    """Return the weights of instruments and of cash after the client's steps, before exclusions and tilts."""
    document = standing.merged.document
    model = _model(preferences, standing)
    if preferences.risk_steps and model is not None:
        targets = Targets((TargetWeight(_ONE, model_node_id=model),), _ZERO)
        document = replace(document, targets=targets)
    try:
        document, _ = worked_out(document, standing.at, standing.mix_of)
    except NoMix:
        return {}, _ZERO
    weights: dict[InstrumentId, Decimal] = {}
    for instrument_id, weight in instrument_weights(document.targets.weights):
        weights[instrument_id] = EXACT.add(weights.get(instrument_id, _ZERO), weight)
    return weights, cash_target(document.targets)
