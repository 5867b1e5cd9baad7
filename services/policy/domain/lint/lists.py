"""Rules that look at what accounts may buy, and at what counts as the same."""

from collections.abc import Callable, Iterator

from services.kernel.decimals import plain
from services.policy.domain.document import Document
from services.policy.domain.eligibility import not_listed
from services.policy.domain.lint.finding import Finding, error, warning
from services.policy.domain.mixes import TargetWeight, instrument_weights

_WEIGHTS = "targets.weights"
_LISTS = "eligibility.buy_lists"
_EQUAL = "eligibility.equivalences"


def targets_may_be_bought(document: Document) -> Iterator[Finding]:
    """Nothing is wanted that the account's buy lists leave out; lists that do not hold yet, or no longer, do not count.

    A document for accounts of any residence is judged by the lists for all, an account's by its own too.
    """
    said = document.eligibility
    lists = tuple(
        each
        for each in said.buy_lists
        if each.residence in (None, said.residence) and each.wrapper in (None, said.wrapper)
    )
    for instrument, weight in instrument_weights(document.targets.weights):
        outside = not_listed(instrument, lists) if weight > 0 else None
        if outside is not None:
            of = [f"eligibility.{each}" for each in ("residence", "wrapper") if getattr(outside, each) is not None]
            yield error(
                "TARGET_NOT_ELIGIBLE",
                (_WEIGHTS, _LISTS, *of),
                f"{instrument} has a target of {plain(weight)} and is not on the buy list {outside.name!r}; name a "
                "substitute that is, or another target",
            )


def lists_can_be_chosen(document: Document) -> Iterator[Finding]:
    """Where lists differ by residence or wrapper, the account's is known."""
    said = document.eligibility
    for name, own in (("residence", said.residence), ("wrapper", said.wrapper)):
        if own is None and any(getattr(each, name) is not None for each in said.buy_lists):
            yield warning(
                f"{name.upper()}_UNKNOWN",
                (_LISTS, f"eligibility.{name}"),
                f"buy lists differ by {name}, and none is set here or above; they hold once an account has one",
            )


def sets_are_apart(document: Document) -> Iterator[Finding]:
    """No instrument is in two sets of identical ones, which would make both one."""
    first: dict[str, str] = {}
    for equal in document.eligibility.equivalences:
        for instrument in equal.instrument_ids:
            other = first.setdefault(instrument, equal.name)
            if other != equal.name:
                yield warning(
                    "EQUIVALENCES_MEET",
                    (_EQUAL,),
                    f"{instrument} is in {other!r} and in {equal.name!r}, so everything in both counts as identical",
                )


def substitutes_differ(document: Document) -> Iterator[Finding]:
    """What takes an instrument's place is not identical to it: sold at a loss, it would be a wash sale."""
    for line in _instruments(document.targets.weights):
        for equal in document.eligibility.equivalences:
            if line.instrument_id in equal.instrument_ids:
                for substitute in sorted(set(line.substitutes) & set(equal.instrument_ids)):
                    yield warning(
                        "SUBSTITUTE_IDENTICAL",
                        (_WEIGHTS, _EQUAL),
                        f"{substitute} is identical to {line.instrument_id} ({equal.name!r}), so a loss on one is "
                        "disallowed while the other is bought",
                    )


LIST_RULES: tuple[Callable[[Document], Iterator[Finding]], ...] = (
    targets_may_be_bought,
    lists_can_be_chosen,
    sets_are_apart,
    substitutes_differ,
)


def _instruments(lines: tuple[TargetWeight, ...]) -> Iterator[TargetWeight]:
    for line in lines:
        if line.group is not None:
            yield from _instruments(line.group.members)
        elif line.instrument_id is not None:
            yield line
