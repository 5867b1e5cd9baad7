"""Rules that look at one node's document, whatever it inherits."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal

from services.kernel.decimals import EXACT, plain
from services.policy.domain.document import EMPTY, FIELDS, Document, Guardrail, Restriction
from services.policy.domain.fields import Field, Merge, Number
from services.policy.domain.guardrails import (
    Bounds,
    Numbers,
    allowed_text,
    bounded,
    instruments_of,
    number_of,
    numbers_of,
)
from services.policy.domain.lint.finding import Finding, error, warning
from services.policy.domain.lint.rows import DECIMAL_PLACES_MAX, rows_findings
from services.policy.domain.mixes import TargetGroup, TargetWeight

# Far deeper than asset class, region, sector, issuer, instrument.
GROUP_DEPTH_MAX = 8

_INSTRUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_COUNTRY = re.compile(r"[A-Z]{2}")

_WEIGHTS = "targets.weights"
_RESTRICTIONS = "restrictions.items"


def own_findings(document: Document) -> Iterator[Finding]:
    """Yield what is wrong with `document` by itself, except for its guardrails."""
    for field, value in FIELDS.set_in(document):
        number = number_of(value)
        if field.number is not None and number is not None:
            yield from _number(field.path, field.number, number)
        if field.many:
            for instrument in instruments_of(value):
                if not _INSTRUMENT.fullmatch(instrument):
                    yield error(
                        "INSTRUMENT_FORMAT",
                        (field.path,),
                        "an instrument id is 1 to 64 letters, digits and . _ : -, starting with a letter or digit, "
                        f"was {instrument[:80]!r}",
                    )
    yield from _targets(document.targets.weights)
    yield from _restrictions(document.restrictions.items)
    yield from rows_findings(document)
    jurisdiction = document.tax.jurisdiction
    if jurisdiction is not None and not _COUNTRY.fullmatch(jurisdiction):
        yield error(
            "JURISDICTION_FORMAT",
            ("tax.jurisdiction",),
            f"must be two capital letters (ISO 3166-1), was {jurisdiction!r}",
        )


def guardrails_leave_something(
    guardrails: Iterable[Guardrail], bounds: Bounds, merged: Document = EMPTY
) -> Iterator[Finding]:
    """Yield what is wrong with guardrails: unknown fields, wrong kinds, and bounds that leave no value.

    Args:
        guardrails: A document's own.
        bounds: Those of its node's ancestors, which hold at the same time.
        merged: What applies to the node, from which steps are measured.
    """
    for guardrail in guardrails:
        place = (f"guardrails[{guardrail.field}]",)
        field = FIELDS.get(guardrail.field)
        if field is None or field.merge is Merge.GATHER:
            yield error("GUARDRAIL_FIELD", place, f"{guardrail.field!r} is not a field that can be bounded")
            continue
        yield from _guardrail(guardrail, field, place)
        yield from _room(guardrail, bounds, place, numbers_of(field.read(merged)))


def guardrail_findings(document: Document, bounds: Bounds) -> Iterator[Finding]:
    """Yield what the guardrails of a node's ancestors forbid it to set."""
    for field, value in FIELDS.set_in(document):
        for bound in bounds.get(field.path, ()):
            if (broken := bound.violation(field, value)) is not None:
                yield error("GUARDRAIL_EXCEEDED", (field.path,), broken)


def _number(path: str, allowed: Number, number: Decimal) -> Iterator[Finding]:
    if (broken := allowed.violation(number)) is not None:
        yield error("OUT_OF_RANGE", (path,), broken)
    elif _places(number) > DECIMAL_PLACES_MAX:
        yield error("TOO_PRECISE", (path,), f"must have at most {DECIMAL_PLACES_MAX} decimal places, was {number}")


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _targets(weights: tuple[TargetWeight, ...]) -> Iterator[Finding]:
    for name, count in Counter(_group_names(weights)).items():
        if count > 1:
            yield error("GROUP_TWICE", (_WEIGHTS,), f"a group's name is unique, {name!r} is used {count} times")
    for instrument, count in Counter(instruments_of(weights)).items():
        if count > 1:
            yield error("TARGET_TWICE", (_WEIGHTS,), f"an instrument has one target, {instrument} has {count}")
    yield from _lines(weights, depth=1)


def _lines(weights: tuple[TargetWeight, ...], depth: int) -> Iterator[Finding]:
    if depth > GROUP_DEPTH_MAX:
        yield error("TARGETS_TOO_DEEP", (_WEIGHTS,), f"groups nest at most {GROUP_DEPTH_MAX} deep")
        return
    for line in weights:
        name = line.instrument_id or line.model_node_id or (line.group.name if line.group is not None else "")
        if not line.weight.is_finite() or not 0 <= line.weight <= 1:
            yield error("OUT_OF_RANGE", (_WEIGHTS,), f"the weight of {name} must be 0 to 1, was {line.weight}")
        elif _places(line.weight) > DECIMAL_PLACES_MAX:
            yield error(
                "TOO_PRECISE",
                (_WEIGHTS,),
                f"the weight of {name} must have at most {DECIMAL_PLACES_MAX} decimal places, was {line.weight}",
            )
        if line.group is not None:
            yield from _group(line.group)
            yield from _lines(line.group.members, depth + 1)


def _group(group: TargetGroup) -> Iterator[Finding]:
    total = group.cash_weight or Decimal(0)
    if not total.is_finite() or _places(total) > DECIMAL_PLACES_MAX:
        return
    for member in group.members:
        if not member.weight.is_finite() or _places(member.weight) > DECIMAL_PLACES_MAX:
            return
        total = EXACT.add(total, member.weight)
    if total != 1:
        yield error(
            "GROUP_WEIGHTS_SUM", (_WEIGHTS,), f"the weights in {group.name!r} must sum to 1, sum to {plain(total)}"
        )


def _group_names(weights: tuple[TargetWeight, ...]) -> Iterator[str]:
    for line in weights:
        if line.group is not None:
            yield line.group.name
            yield from _group_names(line.group.members)


def _restrictions(items: tuple[Restriction, ...]) -> Iterator[Finding]:
    for (subject, kind), count in Counter((r.subject, r.kind) for r in items).items():
        if count > 1:
            yield warning("RESTRICTION_TWICE", (_RESTRICTIONS,), f"{subject} is {kind} {count} times")


def _guardrail(guardrail: Guardrail, field: Field, place: tuple[str, ...]) -> Iterator[Finding]:
    low, high, step = guardrail.minimum, guardrail.maximum, guardrail.maximum_step
    number = bounded(field)
    if low is None and high is None and step is None and not guardrail.allowed and not guardrail.locked:
        yield error("GUARDRAIL_EMPTY", place, f"says nothing about {guardrail.field}: no bound, no list, not locked")
    for bound in (low, high):
        if bound is None:
            continue
        if number is None:
            yield error("GUARDRAIL_KIND", place, f"{guardrail.field} is no number and has no minimum or maximum")
        elif (broken := number.violation(bound)) is not None:
            yield error("GUARDRAIL_RANGE", place, f"a bound of {guardrail.field} {broken}")
    if step is not None and number is None:
        yield error("GUARDRAIL_KIND", place, f"{guardrail.field} is no number and has no largest step")
    elif step is not None and (not step.is_finite() or step < 0):
        yield error("GUARDRAIL_RANGE", place, f"the largest step of {guardrail.field} must be at least 0, was {step}")
    if guardrail.allowed and field.many and field.kind is not TargetWeight:
        yield error("GUARDRAIL_KIND", place, f"{guardrail.field} is a list of rows, which cannot be listed as text")
    for text in guardrail.allowed:
        try:
            allowed_text(field, text)
        except ValueError as problem:
            yield error("GUARDRAIL_KIND", place, f"an allowed value of {guardrail.field} {problem}")


def _room(guardrail: Guardrail, bounds: Bounds, place: tuple[str, ...], anchor: Numbers) -> Iterator[Finding]:
    holding = [(bound.guardrail, bound.anchor) for bound in bounds.get(guardrail.field, ())] + [(guardrail, anchor)]
    lows = [g.minimum for g, _ in holding if g.minimum is not None]
    highs = [g.maximum for g, _ in holding if g.maximum is not None]
    for each, around in holding:
        # Of a mix each weight has bounds of its own, and one of them always leaves room: what holds already.
        step, value = each.maximum_step, around.get("")
        if step is not None and value is not None and step.is_finite() and value.is_finite():
            lows.append(EXACT.subtract(value, step))
            highs.append(EXACT.add(value, step))
    lists = [set(g.allowed) for g, _ in holding if g.allowed]
    nothing = f"with the guardrails above it leaves no value for {guardrail.field}"
    if lows and highs and max(lows) > min(highs):
        yield error("GUARDRAIL_NOTHING_LEFT", place, f"{nothing}: at least {max(lows)} and at most {min(highs)}")
    if lists and not set.intersection(*lists):
        yield error("GUARDRAIL_NOTHING_LEFT", place, f"{nothing}: the lists of allowed values have none in common")
