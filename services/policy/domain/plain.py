"""What do merged rules come to at an instant, in the plainest words?

Rules may speak of models, screens, buy lists, pauses and distances of single lines. Whoever acts on rules should not
have to know what these mean. So they are worked out here, once, into what every reader understands: instruments with
their weight in the account, their distances, and restrictions. What is worked out is left out of the result.

A model stands for whatever mix applies to its node at the same instant, cash included, multiplied out exactly. A mix
that cannot be worked out (a model without a mix, models in a circle, an unknown screen) leaves no mix and a pause:
nothing is traded on a guess.

Where a group or a model has a distance of its own, it bounds the sum of what is inside (`corridors.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from services.kernel.decimals import EXACT, plain
from services.kernel.ids import InstrumentId, PolicyNodeId
from services.policy.domain.corridors import corridors
from services.policy.domain.document import Document, Restriction, RestrictionCause, RestrictionKind
from services.policy.domain.eligibility import BuyList, not_listed
from services.policy.domain.merge import Effective, Layer, Origin
from services.policy.domain.mixes import (
    UNBOUNDED,
    TargetGroup,
    Targets,
    TargetWeight,
    cash_target,
    instrument_weights,
)
from services.policy.domain.personal_rules import NO_PREFERENCES, NO_RULE

# Lines in groups in models in groups: with 12 decimal places a level, products still are exact.
DEPTH_MAX = 16


_ZERO, _ONE = Decimal(0), Decimal(1)

Lines: TypeAlias = tuple[TargetWeight, ...]
MixOf: TypeAlias = Callable[[PolicyNodeId], Effective | None]
"""Says what applies to a node; None if there is none."""


class NoMix(Exception):
    """Why a mix cannot be worked out: `rule` names the kind of reason, `fields` the fewest that conflict."""

    def __init__(self, rule: str, description: str, fields: tuple[str, ...] = ("targets.weights",)) -> None:
        """Say why."""
        super().__init__(description)
        self.rule = rule
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Plain:
    """Rules as they are acted on.

    Attributes:
        document: Without models, screens, buy lists, pauses, and what is only said about clients.
        references: The versions that say the mixes of the models in it, each once, in the order of first use.
        sources: Who said what follows here from another field, by path.
    """

    document: Document
    references: tuple[Layer, ...] = ()
    sources: Mapping[str, tuple[Layer, ...]] = field(default_factory=dict)


def in_plain_words(effective: Effective, at: datetime, mix_of: MixOf, missing_consents: tuple[str, ...] = ()) -> Plain:
    """Return what merged rules come to.

    Args:
        effective: The merged rules of an account or another node.
        at: The instant; what has expired by then, or not begun, does not count.
        mix_of: Says what applies to a model's node at that instant.
        missing_consents: Required ones of which there is no valid record then.
    """
    said = effective.document
    references: tuple[Layer, ...] = ()
    follows: dict[str, tuple[str, ...]] = {}
    try:
        document, references = worked_out(said, at, mix_of)
        _refuse_if_nothing_is_left(document, at)
    except NoMix as problem:
        lost = Targets(problem=str(problem), model_name=said.targets.model_name)
        document = replace(said, targets=lost, safety=replace(said.safety, paused=True))
        follows = {"targets.problem": problem.fields, "safety.paused": problem.fields}
    if document.targets is not said.targets:
        follows["targets.cash_weight"] = ("targets.cash_weight", "targets.weights")
    if document.restrictions is not said.restrictions:
        follows["restrictions.items"] = ("restrictions.items", "eligibility.screens", "eligibility.buy_lists")
    if not document.safety.paused and any(each.holds(at) for each in said.safety.pauses):
        document = replace(document, safety=replace(document.safety, paused=True))
        follows["safety.paused"] = ("safety.pauses",)
    if missing_consents:
        document = replace(document, client=replace(document.client, missing_consents=missing_consents))
        follows["client.missing_consents"] = ("client.required_consents",)
    sources = {
        path: tuple(dict.fromkeys(layer for each in paths for layer in effective.sources.get(each, ())))
        for path, paths in follows.items()
    }
    if references:
        for path in ("targets.weights", "targets.cash_weight"):
            sources[path] = (*sources.get(path, effective.sources.get(path, ())), *references)
    return Plain(_without_what_is_done(document), references, sources)


def worked_out(document: Document, at: datetime, mix_of: MixOf) -> tuple[Document, tuple[Layer, ...]]:
    """Return merged rules, mix and restrictions as instruments, and the versions that said the mixes of models.

    Raises:
        NoMix: The mix cannot be worked out.
    """
    mix = expanded(document.targets.weights, mix_of)
    return _with_mix(_with_restrictions(document, screened(document)), mix.lines, at), mix.references


@dataclass(frozen=True, slots=True)
class Mix:
    """A target mix without models; `references` are the versions that said the models' mixes."""

    lines: Lines
    references: tuple[Layer, ...]


def expanded(lines: Lines, mix_of: MixOf) -> Mix:
    """Return a mix in which every model is replaced by a group of what it stands for.

    Raises:
        NoMix: A model has no mix, or stands for itself, or all is nested too deep.
    """
    references: dict[str, Layer] = {}
    found = tuple(_expanded(lines, mix_of, (), references, 1))
    return Mix(lines if found == lines else found, tuple(references.values()))


def screened(document: Document) -> tuple[Restriction, ...]:
    """Return the restrictions with one for each instrument of a screen in place of the screen's.

    Raises:
        NoMix: No screen has the name.
    """
    items = document.restrictions.items
    if all(each.screen is None for each in items):
        return items
    known = {screen.name for screen in document.eligibility.screens}
    found: list[Restriction] = []
    for each in items:
        if each.screen is None:
            found.append(each)
            continue
        if each.screen not in known:
            raise NoMix(
                "SCREEN_UNKNOWN",
                f"no screen is named {each.screen!r}, and a restriction refers to it",
                ("restrictions.items", "eligibility.screens"),
            )
        found += (
            replace(each, instrument_id=instrument_id, screen=None)
            for instrument_id in sorted(document.eligibility.screened(each.screen))
        )
    return tuple(found)


def barred(document: Document, at: datetime) -> Callable[[InstrumentId], str | None]:
    """Return what says why an instrument may not be bought at the instant `at`, or None.

    An instrument that may be neither bought nor sold is left where it is, so it does not count as barred here.
    """
    kinds: dict[InstrumentId, set[RestrictionKind | None]] = {}
    for restriction in screened(document):
        if restriction.instrument_id is not None and restriction.holds(at):
            kinds.setdefault(restriction.instrument_id, set()).add(restriction.kind)
    lists = document.eligibility.lists_for(at)

    def reason(instrument_id: InstrumentId) -> str | None:
        found = kinds.get(instrument_id, set())
        if RestrictionKind.EXCLUDED in found:
            return "is excluded"
        if (RestrictionKind.NO_BUY in found) and not found & {RestrictionKind.NO_SELL, RestrictionKind.NO_TRADE}:
            return "may not be bought"
        outside = not_listed(instrument_id, lists)
        return None if outside is None else f"is not on the buy list {outside.name!r}"

    return reason


def substituted(lines: Lines, is_barred: Callable[[InstrumentId], str | None]) -> Lines:
    """Return lines in which what may not be bought has given way to its best substitute that may, if there is one."""
    return tuple(_substituted(line, is_barred) for line in lines)


def _refuse_if_nothing_is_left(document: Document, at: datetime) -> None:
    """Refuse a mix of which everything is excluded: it would be sold, and nothing could take its place."""
    wanted = {each for each, weight in instrument_weights(document.targets.weights) if weight > 0}
    excluded = {
        each.instrument_id
        for each in document.restrictions.items
        if each.kind is RestrictionKind.EXCLUDED and each.holds(at)
    }
    if wanted and wanted <= excluded:
        raise NoMix(
            "NOTHING_LEFT", "everything in the target mix is excluded", ("targets.weights", "restrictions.items")
        )


def _expanded(
    lines: Lines, mix_of: MixOf, path: tuple[PolicyNodeId, ...], references: dict[str, Layer], depth: int
) -> Iterator[TargetWeight]:
    if depth > DEPTH_MAX:
        raise NoMix("MODELS_TOO_DEEP", f"groups and models nest at most {DEPTH_MAX} deep")
    for line in lines:
        if line.group is not None:
            members = tuple(_expanded(line.group.members, mix_of, path, references, depth + 1))
            yield replace(line, group=replace(line.group, members=members))
        elif line.model_node_id is not None:
            yield _model(line, line.model_node_id, mix_of, path, references, depth)
        else:
            yield line


def _model(
    line: TargetWeight,
    model: PolicyNodeId,
    mix_of: MixOf,
    path: tuple[PolicyNodeId, ...],
    references: dict[str, Layer],
    depth: int,
) -> TargetWeight:
    if model in path:
        circle = " → ".join((*path[path.index(model) :], model))
        raise NoMix("MODEL_CYCLE", f"models may not stand for themselves: {circle}")
    effective = mix_of(model)
    if effective is None:
        raise NoMix("MODEL_UNKNOWN", f"no policy node is named {model}, and a target refers to its mix")
    targets = effective.document.targets
    total = targets.cash_weight or _ZERO
    for each in targets.weights:
        total = EXACT.add(total, each.weight)
    if not targets.weights or total != _ONE:
        why = f"its weights and cash sum to {plain(total)}" if targets.weights else "no mix applies to it"
        raise NoMix("MODEL_WITHOUT_MIX", f"{model} cannot be a target: {why}")
    for said in ("targets.weights", "targets.cash_weight"):
        for layer in effective.sources.get(said, ()):
            if layer.origin is Origin.VERSION:
                references[layer.version_id] = layer
    members = tuple(_expanded(targets.weights, mix_of, (*path, model), references, depth + 1))
    return replace(line, model_node_id=None, group=TargetGroup(model, members, targets.cash_weight))


def _substituted(line: TargetWeight, is_barred: Callable[[InstrumentId], str | None]) -> TargetWeight:
    if line.group is not None:
        return replace(line, group=replace(line.group, members=substituted(line.group.members, is_barred)))
    if not line.substitutes or line.instrument_id is None or is_barred(line.instrument_id) is None:
        return line
    best = next((each for each in line.substitutes if is_barred(each) is None), None)
    return line if best is None else replace(line, instrument_id=best, substitutes=())


def _with_restrictions(document: Document, restrictions: tuple[Restriction, ...]) -> Document:
    if restrictions == document.restrictions.items:
        return document
    return replace(document, restrictions=replace(document.restrictions, items=restrictions))


def _with_mix(document: Document, lines: Lines, at: datetime) -> Document:
    """Return the document with its mix as instruments, if it says more than that, and what is not eligible barred."""
    final = substituted(lines, barred(document, at)) if _has_substitutes(lines) else lines
    lists = document.eligibility.lists_for(at)
    if lists:
        document = _with_restrictions(document, (*document.restrictions.items, *_not_eligible(final, lists)))
    nests_cash = any(line.group is not None and _has_cash(line.group) for line in final)
    distances = corridors(final, document.bands)
    if final == document.targets.weights and not nests_cash and not distances:
        return document
    totals: dict[InstrumentId, Decimal] = {}
    for instrument_id, weight in instrument_weights(final):
        totals[instrument_id] = EXACT.add(totals.get(instrument_id, _ZERO), weight)
    flat = []
    for instrument_id, weight in totals.items():
        trigger, destination = distances.get(instrument_id, (UNBOUNDED, UNBOUNDED))
        flat.append(TargetWeight(weight, instrument_id, trigger=trigger, destination=destination))
    cash = cash_target(replace(document.targets, weights=final))
    targets = replace(document.targets, weights=tuple(flat), cash_weight=cash or document.targets.cash_weight)
    return replace(document, targets=targets)


def _not_eligible(lines: Lines, lists: tuple[BuyList, ...]) -> Iterator[Restriction]:
    for instrument_id in sorted({each for each, _ in instrument_weights(lines)}):
        outside = not_listed(instrument_id, lists)
        if outside is not None:
            yield Restriction(
                instrument_id,
                RestrictionKind.NO_BUY,
                f"not on the buy list {outside.name!r}",
                outside.expire_time,
                cause=RestrictionCause.CROSS_BORDER,
            )


def _without_what_is_done(document: Document) -> Document:
    eligibility = document.eligibility
    if eligibility.buy_lists or eligibility.screens:
        document = replace(document, eligibility=replace(eligibility, buy_lists=(), screens=()))
    if document.safety.pauses:
        document = replace(document, safety=replace(document.safety, pauses=()))
    if document.profile_rule != NO_RULE or document.preferences != NO_PREFERENCES:
        document = replace(document, profile_rule=NO_RULE, preferences=NO_PREFERENCES)
    return document


def _has_substitutes(lines: Lines) -> bool:
    return any(
        bool(line.substitutes) or (line.group is not None and _has_substitutes(line.group.members)) for line in lines
    )


def _has_cash(group: TargetGroup) -> bool:
    return bool(group.cash_weight) or any(_has_cash(each.group) for each in group.members if each.group is not None)
