"""How far may clients go, and what do their preferences come to?

A preference takes effect at once and nobody approves it, so what it may be is itself approved policy
(`PreferenceLimits`), and is judged twice: when it is set, with the limit that it breaks, and whenever rules are
merged. A part that is outside by then, because a limit is younger, does not count; the guardrails of all ancestors hold
besides.

Changes of mind are limited as well. They need time between them, and over a window of days they may add up to no more
than policy says; up and down both count, so going there and back is not free.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from services.kernel.canonical import canonical_json, content_hash, rfc3339
from services.kernel.decimals import EXACT, plain
from services.kernel.errors import Invalid, Rejected, Violations
from services.kernel.ids import InstrumentId
from services.policy.domain.content import plain_value
from services.policy.domain.document import FIELDS
from services.policy.domain.merge import Layer, Origin
from services.policy.domain.personal_rules import PreferenceLimits
from services.policy.domain.preferences import (
    NONE,
    Preferences,
    PreferencesRecord,
    Standing,
    moved_weight,
    says,
    weights_of,
)

_ZERO, _ONE = Decimal(0), Decimal(1)


class PreferenceOutsideBounds(Invalid):
    """A preference is outside what policy allows clients."""

    reason = "PREFERENCE_OUTSIDE_BOUNDS"


class PreferenceCoolingOff(Rejected):
    """The last change of the client's preferences was too short a time ago."""

    reason = "PREFERENCE_COOLING_OFF"


class PreferenceChangeLimit(Rejected):
    """The client's changes would add up to more than policy allows in its window."""

    reason = "PREFERENCE_CHANGE_LIMIT"


def check(preferences: Preferences, standing: Standing) -> None:
    """Refuse preferences outside of what policy allows.

    Raises:
        PreferenceOutsideBounds: With a violation, which names the bound, for each part.
    """
    found = Violations()
    for part, problem in problems(preferences, standing):
        found.add(f"preferences.{part}", problem)
    found.raise_if_any(PreferenceOutsideBounds)


def check_change(
    preferences: Preferences, history: Sequence[PreferencesRecord], standing: Standing, now: datetime
) -> None:
    """Refuse a change that comes too early, or too much of it.

    Args:
        preferences: As they are to be.
        history: All earlier ones of the account, oldest first.
        standing: The account's rules.
        now: The business instant of the change.

    Raises:
        PreferenceCoolingOff: Says from when on a change is possible.
        PreferenceChangeLimit: Says how much is left.
    """
    limits = standing.limits
    last = history[-1] if history else None
    if last is not None and limits.cooling_off_days is not None:
        possible = last.effective_time + timedelta(days=limits.cooling_off_days)
        if now < possible:
            raise PreferenceCoolingOff(
                f"preferences changed at {rfc3339(last.effective_time)} and can change again from {rfc3339(possible)} "
                f"on, {limits.cooling_off_days} days later",
                possible_time=rfc3339(possible),
            )
    if limits.window_days is None:
        return
    moves = _moves(preferences, history, standing, now - timedelta(days=limits.window_days))
    general: list[tuple[str, Decimal, Decimal | int | None]] = [
        ("tax_importance", moves.tax, limits.tax_change_limit),
        ("risk_steps", Decimal(moves.risk), limits.risk_change_limit),
        ("tilts", moves.tilted, limits.tilt_change_limit),
    ]
    for part, moved, limit in general:
        if limit is not None and moved > limit:
            raise PreferenceChangeLimit(
                f"with this, {part} would change by {plain(moved)} within {limits.window_days} days, at most "
                f"{limit if isinstance(limit, int) else plain(limit)} is allowed",
                part=part,
            )


def preference_layer(record: PreferencesRecord, standing: Standing) -> Layer:
    """Return what a client's preferences come to, without the parts that are outside of what policy allows now."""
    preferences = record.preferences
    # What a client excludes stays excluded whatever the limits say by now: better no trade than one against a wish.
    outside = {_part(name) for name, _ in problems(preferences, standing)} - {"exclusions"}
    document = FIELDS.document(
        {
            path: value
            for part, said in says(preferences, standing).items()
            if part not in outside
            for path, value in said.items()
        }
    )
    why = record.reason or "the client's preference"
    if outside:
        why += f"; outside of what policy allows by now, so without effect: {', '.join(sorted(outside))}"
    newest = standing.merged.layers[-1]
    return Layer(
        node_id=record.account_id,
        version_id=preferences.version_id,
        document=document,
        # No change brought it; it holds within what this one, the last on the account's path, allows.
        change_id=newest.change_id,
        author=record.author,
        approver="",
        reason=why,
        effective_time=record.effective_time,
        approved_time=record.recorded_time,
        origin=Origin.PREFERENCE,
        outcome=content_hash(canonical_json([plain_value(document), why])),
    )


def problems(preferences: Preferences, standing: Standing) -> Iterator[tuple[str, str]]:
    """Yield each part of preferences that policy does not allow, and why, with the bound."""
    yield from _tax_problems(preferences, standing.limits)
    yield from _risk_problems(preferences, standing)
    yield from _exclusion_problems(preferences, standing)
    yield from _tilt_problems(preferences, standing)
    for part, said in says(preferences, standing).items():
        for path, value in said.items():
            for bound in standing.merged.bounds.get(path, ()):
                if (broken := bound.violation(FIELDS[path], value)) is not None:
                    yield part, broken


def _tax_problems(preferences: Preferences, limits: PreferenceLimits) -> Iterator[tuple[str, str]]:
    chosen = preferences.tax_importance
    if chosen is None:
        return
    least, most = limits.tax_importance_minimum, limits.tax_importance_maximum
    if least is None or most is None:
        yield "tax_importance", f"cannot be chosen, policy sets no bounds for it; was {plain(chosen)}"
    elif not least <= chosen <= most:
        yield "tax_importance", f"must be {plain(least)} to {plain(most)}, was {plain(chosen)}"


def _risk_problems(preferences: Preferences, standing: Standing) -> Iterator[tuple[str, str]]:
    steps, limits = preferences.risk_steps, standing.limits
    if steps == 0:
        return
    up, down = limits.risk_steps_up or 0, limits.risk_steps_down or 0
    if not -down <= steps <= up:
        yield "risk_steps", f"must be {-down} to {up}, was {steps}"
    elif standing.outcome is None:
        yield "risk_steps", f"must be 0 while no rule leads from the client's profile to a model, was {steps}"
    else:
        models = standing.merged.document.profile_rule.models
        place = models.index(standing.outcome.model)
        if not 0 <= place + steps < len(models):
            yield "risk_steps", f"must be {-place} to {len(models) - 1 - place}, where models end, was {steps}"


def _exclusion_problems(preferences: Preferences, standing: Standing) -> Iterator[tuple[str, str]]:
    exclusions, limits = preferences.exclusions, standing.limits
    if not exclusions:
        return
    most = limits.exclusions_limit or 0
    if len(exclusions) > most:
        yield "exclusions", f"must be at most {most}, were {len(exclusions)}"
    lists = standing.merged.document.eligibility
    known = {screen.name for screen in lists.screens}
    excluded: set[InstrumentId] = set()
    for row, exclusion in enumerate(exclusions):
        if exclusion.screen is not None:
            if exclusion.screen not in known:
                named = ", ".join(sorted(known)) or "none"
                yield f"exclusions[{row}].screen", f"must be one of the screens ({named}), was {exclusion.screen!r}"
            excluded |= lists.screened(exclusion.screen)
        elif exclusion.instrument_id is not None:
            excluded.add(exclusion.instrument_id)
    weight = _ZERO
    for instrument_id, share in weights_of(preferences, standing)[0].items():
        weight = EXACT.add(weight, share if instrument_id in excluded else _ZERO)
    limit = limits.excluded_weight_limit if limits.excluded_weight_limit is not None else _ONE
    if weight > limit or weight == _ONE:
        yield (
            "exclusions",
            f"must concern at most {plain(limit)} of the target mix and leave some, were {plain(weight)}",
        )


def _tilt_problems(preferences: Preferences, standing: Standing) -> Iterator[tuple[str, str]]:
    tilts, limits = preferences.tilts, standing.limits
    if not tilts:
        return
    if limits.tilt_limit is None:
        yield "tilts", "cannot be chosen, policy sets no tilt_limit"
        return
    mix = weights_of(preferences, standing)[0]
    total = _ZERO
    for row, tilt in enumerate(tilts):
        total = EXACT.add(total, tilt.shift)
        if abs(tilt.shift) > limits.tilt_limit:
            most = plain(limits.tilt_limit)
            yield f"tilts[{row}].shift", f"must be at most {most} either way, was {plain(tilt.shift)}"
        held = mix.get(tilt.instrument_id)
        if held is None:
            yield f"tilts[{row}].instrument_id", f"must be in the target mix, was {tilt.instrument_id}"
        elif not 0 <= EXACT.add(held, tilt.shift) <= 1:
            yield f"tilts[{row}].shift", f"must leave a weight of 0 to 1 of {plain(held)}, was {plain(tilt.shift)}"
    if len({tilt.instrument_id for tilt in tilts}) != len(tilts):
        yield "tilts", "must name each instrument once"
    if total != 0:
        yield "tilts", f"must sum to 0, what goes to one comes from another; sum to {plain(total)}"
    limit = limits.tilted_weight_limit
    if limit is not None and (moved := moved_weight((), tilts)) > limit:
        yield "tilts", f"must move at most {plain(limit)} of the account, moved {plain(moved)}"


@dataclass(frozen=True, slots=True)
class _Moves:
    """How much changed, up and down added."""

    tax: Decimal
    risk: int
    tilted: Decimal


def _moves(
    preferences: Preferences, history: Sequence[PreferencesRecord], standing: Standing, since: datetime
) -> _Moves:
    """Return how much changes add up to since an instant, the one that is asked for included.

    Before a client's first choice policy's own importance of tax counts.
    """
    general = standing.merged.document.objective.tax_importance
    usual = _ONE if general is None else general
    steps = [NONE, *(record.preferences for record in history), preferences]
    instants = [*(record.effective_time for record in history), None]
    tax, risk, tilted = _ZERO, 0, _ZERO
    for before, after, instant in zip(steps, steps[1:], instants, strict=False):
        if instant is not None and instant <= since:
            continue
        one = usual if before.tax_importance is None else before.tax_importance
        other = usual if after.tax_importance is None else after.tax_importance
        tax = EXACT.add(tax, abs(EXACT.subtract(other, one)))
        risk += abs(after.risk_steps - before.risk_steps)
        tilted = EXACT.add(tilted, moved_weight(before.tilts, after.tilts))
    return _Moves(tax, risk, tilted)


def _part(name: str) -> str:
    """Return the part of the preferences that a field is in: `tilts` for `tilts[2].shift`."""
    return name.partition("[")[0]
