"""Rules that look at the rows of one node's lists, whatever it inherits."""

import dataclasses
import re
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from services.policy.domain.document import FIELDS, Document
from services.policy.domain.fields import Hint, Number
from services.policy.domain.guardrails import number_of
from services.policy.domain.lint.finding import Finding, error, warning
from services.policy.domain.mixes import Distance, TargetWeight

# Finer than any quantity can be traded; bounds the digits that exact sums and products carry.
DECIMAL_PLACES_MAX = 12

INSTRUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_WRAPPER = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_CONSENT = re.compile(r"[a-z][a-z0-9-]{0,63}")

_ELIGIBILITY = "eligibility"
_SAID_BY_THE_SERVICE = ("targets.problem", "client.missing_consents", "client.risk_budget")


def rows_findings(document: Document) -> Iterator[Finding]:
    """Yield what is wrong with the rows of the lists of `document`."""
    for field, value in FIELDS.set_in(document):
        if field.path in _SAID_BY_THE_SERVICE:
            yield error("OUTPUT_ONLY", (field.path,), "is said by effective policies only, and cannot be set")
        if field.many and field.path != "guardrails":
            for number, found, name in _numbers(value):
                if (broken := number.violation(found)) is not None:
                    yield error("OUT_OF_RANGE", (field.path,), f"{name} {broken}")
                elif _places(found) > DECIMAL_PLACES_MAX:
                    yield error(
                        "TOO_PRECISE",
                        (field.path,),
                        f"{name} must have at most {DECIMAL_PLACES_MAX} decimal places, was {found}",
                    )
    yield from _substitutes(document.targets.weights)
    yield from _eligibility(document)
    yield from _pauses(document)
    yield from _once(document)
    for section, distance in (("trigger", document.bands.trigger), ("destination", document.bands.destination)):
        if distance.combine is not None and (distance.absolute is None) != (distance.relative is None):
            yield warning(
                "COMBINE_UNUSED",
                (f"bands.{section}.combine",),
                f"says which of two parts counts; unless an ancestor says the other, there is one: {_part(distance)}",
            )
    for kind in document.client.required_consents:
        if not _CONSENT.fullmatch(kind):
            yield error(
                "CONSENT_FORMAT",
                ("client.required_consents",),
                f"a kind of consent is 1 to 64 small letters, digits and -, starting with a letter, was {kind[:80]!r}",
            )


def _part(distance: Distance) -> str:
    return "absolute" if distance.absolute is not None else "relative"


def _substitutes(lines: Iterable[TargetWeight]) -> Iterator[Finding]:
    for line in lines:
        if line.group is not None:
            yield from _substitutes(line.group.members)
        named = [each for each in (line.instrument_id, *line.substitutes) if each is not None]
        for instrument, count in Counter(named).items():
            if count > 1:
                yield error(
                    "SUBSTITUTE_TWICE",
                    ("targets.weights",),
                    f"what stands in for {line.instrument_id} is another instrument, each once; {instrument} is there "
                    f"{count} times",
                )
        for substitute in line.substitutes:
            if not INSTRUMENT.fullmatch(substitute):
                yield _format("targets.weights", substitute)


def _eligibility(document: Document) -> Iterator[Finding]:
    said = document.eligibility
    residences = [(f"{_ELIGIBILITY}.residence", said.residence)]
    residences += [(f"{_ELIGIBILITY}.buy_lists", each.residence) for each in said.buy_lists]
    for path, country in residences:
        if country is not None and not _COUNTRY.fullmatch(country):
            yield error("RESIDENCE_FORMAT", (path,), f"must be two capital letters (ISO 3166-1), was {country[:80]!r}")
    wrappers = [(f"{_ELIGIBILITY}.wrapper", said.wrapper)]
    wrappers += [(f"{_ELIGIBILITY}.buy_lists", each.wrapper) for each in said.buy_lists]
    for path, wrapper in wrappers:
        if wrapper is not None and not _WRAPPER.fullmatch(wrapper):
            yield error("WRAPPER_FORMAT", (path,), f"must be capital letters, digits and _, was {wrapper[:80]!r}")
    for listed in said.buy_lists:
        if listed.start_time is not None and listed.expire_time is not None and listed.start_time >= listed.expire_time:
            yield error(
                "LIST_NEVER_HOLDS", (f"{_ELIGIBILITY}.buy_lists",), f"{listed.name!r} ends before it begins to hold"
            )
    lists = (("buy_lists", said.buy_lists), ("screens", said.screens), ("equivalences", said.equivalences))
    for name, rows in lists:
        for row in rows:
            for instrument in row.instrument_ids:
                if not INSTRUMENT.fullmatch(instrument):
                    yield _format(f"{_ELIGIBILITY}.{name}", instrument)
    for equal in said.equivalences:
        if len(equal.instrument_ids) < 2:
            yield error(
                "EQUIVALENCE_OF_ONE",
                (f"{_ELIGIBILITY}.equivalences",),
                f"{equal.name!r} must name at least two instruments, names {len(equal.instrument_ids)}",
            )


def _pauses(document: Document) -> Iterator[Finding]:
    for pause in document.safety.pauses:
        if pause.start_time >= pause.end_time:
            yield error(
                "PAUSE_EMPTY",
                ("safety.pauses",),
                f"a pause must end after it starts, was {pause.start_time.isoformat()} to {pause.end_time.isoformat()}",
            )


def _once(document: Document) -> Iterator[Finding]:
    """Refuse two rows of one list that are about the same."""
    rule = document.profile_rule
    rows: Mapping[str, list[str]] = {
        "risk.class_limits": [each.asset_class for each in document.risk.class_limits],
        "risk.factor_limits": [each.name for each in document.risk.factor_limits]
        + [f"{each.name} and {one.instrument_id}" for each in document.risk.factor_limits for one in each.exposures],
        "risk.stress_limits": [each.name for each in document.risk.stress_limits]
        + [f"{each.name} and {move.about}" for each in document.risk.stress_limits for move in each.moves],
        "tax.gain_budgets": [f"the tax year {each.tax_year}" for each in document.tax.gain_budgets],
        "profile_rule.tolerances": [each.about for each in rule.tolerances],
        "profile_rule.horizons": [each.about for each in rule.horizons],
        "profile_rule.liquidity": [each.about for each in rule.liquidity],
        "profile_rule.income": [each.about for each in rule.income],
        "profile_rule.glide_path": [each.about for each in rule.glide_path],
        "profile_rule.models": [f"a budget of {each.risk_budget.normalize()}" for each in rule.models],
        "eligibility.equivalences": [each.name for each in document.eligibility.equivalences],
    }
    for path, names in rows.items():
        for name, count in Counter(names).items():
            if count > 1:
                yield error("ROW_TWICE", (path,), f"one row is about {name}, there are {count}")


def _format(path: str, instrument: str) -> Finding:
    return error(
        "INSTRUMENT_FORMAT",
        (path,),
        "an instrument id is 1 to 64 letters, digits and . _ : -, starting with a letter or digit, "
        f"was {instrument[:80]!r}",
    )


def _numbers(value: object) -> Iterator[tuple[Number, Decimal, str]]:
    """Yield the numbers in rows of lists: what each may be, what it is, and its name."""
    if isinstance(value, tuple):
        for each in value:
            yield from _numbers(each)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for name, number in _marked(type(value)).items():
            part = getattr(value, name)
            found = number_of(part)
            if number is not None and found is not None:
                yield number, found, name
            elif number is None:
                yield from _numbers(part)


@cache
def _marked(kind: Hint) -> Mapping[str, Number | None]:
    """Return the fields of a row: what a number may be, and None for what may have numbers inside."""
    hints: Mapping[str, Any] = typing.get_type_hints(kind, include_extras=True)
    marks = {
        item.name: [mark for mark in getattr(hints[item.name], "__metadata__", ()) if isinstance(mark, Number)]
        for item in dataclasses.fields(kind)
    }
    return {name: found[0] if found else None for name, found in marks.items()}


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
