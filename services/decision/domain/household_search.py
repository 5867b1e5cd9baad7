"""Accounts of a household that want opposite things, decided together: the best of all ways to give way, and its proof.

A loss counts only where nobody of the household buys what is identical. So for each identity one of two things holds:
no account buys it, or none sells it at a loss. Apart from that the accounts' plans have nothing to do with each other.
That is a branch and bound: a node says which of the two holds for some identities; its plans are the accounts' best
ones under those bars, and no plans of the household under them come to less than the sum of the accounts' own certified
bounds (`Certificate.dual_bps`). Where a node's plans oppose each other, it branches on the first identity on which they
do, and only those accounts are decided again that the bar is for: the others' plans keep it already, so they are their
best under it too. An account is decided once under the same bars, whatever the others are under: so conflicts that have
nothing to do with each other add up instead of multiplying.

It first dives, taking the cheaper side each time, until nothing opposes; that is what deciding again and again finds.
From there it looks at the node of the least bound first, and ends when that is within a tenth of a basis point of the
best plans, or after `SOLVES_MAX` plans or `NODES_MAX` nodes. What it proves is the least bound of everything that it
did not look into.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from services.decision.domain.deciding import AccountInputs, told_together
from services.decision.domain.decision import CENT, NoTradeReason
from services.decision.domain.household import Opposed, barred, opposed
from services.decision.domain.plan import Draft, HouseholdProof, PlanOutcome
from services.decision.domain.problem import RecentTrade
from services.decision.domain.words import cents
from services.kernel.ids import InstrumentId

# Plans made for one household after which only the dive goes on: some seconds.
SOLVES_MAX = 200
# The same of nodes, most of which need no new plan: a second.
NODES_MAX = 2_000
# Of the household's value: its plans are then as near to the best as those of one account.
GAP_SHARE = Decimal("1e-5")
BPS_PER_ONE = Decimal(10_000)
ANSWERED = (PlanOutcome.TRADE, PlanOutcome.NO_TRADE)
# Of these nothing was asked: they stay as they are, whatever the others do.
NOT_ASKED = (NoTradeReason.WITHIN_BANDS, NoTradeReason.BETWEEN_STEPS)


@dataclass(frozen=True, slots=True)
class Searched:
    """The accounts' inputs and plans, in the order in which they were given."""

    members: tuple[AccountInputs, ...]
    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class _Node:
    """Plans under some bars.

    Attributes:
        cost: What the accounts' objectives come to, in currency; None where an account lost its plan.
        bound: No plans of the household under these bars come to less.
        sides: By identity, whether nobody buys it; else nobody sells it at a loss.
    """

    members: tuple[AccountInputs, ...]
    drafts: tuple[Draft, ...]
    cost: Decimal | None
    bound: Decimal
    sides: Mapping[str, bool]


# An account, by its place, under bars; and its inputs and plan under them.
_Bars = tuple[int, frozenset[RecentTrade]]
_Member = tuple[AccountInputs, Draft]


def search(
    members: Sequence[AccountInputs],
    drafts: Sequence[Draft],
    identity: Callable[[InstrumentId], str],
    day: date,
    solves_max: int = SOLVES_MAX,
) -> Generator[Sequence[AccountInputs], Sequence[Draft], Searched]:
    """Return plans of a household that deny each other no loss; yield what is to be decided again, and take the plans.

    Args:
        members: The accounts, in one currency.
        drafts: Their plans, each decided by itself.
        identity: Names what an instrument is identical to.
        day: On which the plans would trade.
        solves_max: Plans to make before it only dives.

    Returns:
        Plans that say what they come to together, where any had to give way; else those that were given.
    """
    counted = tuple(place for place, each in enumerate(drafts) if each.outcome in ANSWERED and _has_value(each))
    root = _node(tuple(members), tuple(drafts), counted, {})
    if opposed(_pairs(root), identity, day) is None:
        return Searched(root.members, root.drafts)
    tolerance = GAP_SHARE * sum((_value(drafts[place]) for place in counted), Decimal(0))
    nodes, best, floor, solves, looked = [root], None, None, 0, 0
    known: dict[_Bars, _Member] = {}
    while nodes:
        looked += 1
        node = nodes.pop(_next(nodes, dives=best is None))
        found = opposed(_pairs(node), identity, day)
        near = best is not None and best.cost is not None and node.bound >= best.cost - tolerance
        over = solves >= solves_max or looked >= NODES_MAX
        ends = best is not None and over
        if found is None and (best is None or (node.cost or 0) < (best.cost or 0)):
            best = node
        if found is None or near or ends:
            floor = node.bound if floor is None else min(floor, node.bound)
            continue
        sides = (node.sides[found.name],) if found.name in node.sides else (True, False)
        if over and len(sides) > 1:
            sides, floor = (True,), node.bound if floor is None else min(floor, node.bound)
        made: list[_Node] = []
        for nobody_buys in sides:
            changed = barred(found, node.members, day, buyers=nobody_buys)
            wanted = {place: each for place, each in changed.items() if _bars(place, each) not in known}
            if wanted:
                again = yield list(wanted.values())
                solves += len(wanted)
                for (place, each), draft in zip(wanted.items(), again, strict=True):
                    known[_bars(place, each)] = each, draft
            under = {place: known[_bars(place, each)] for place, each in changed.items()}
            child = _child(node, under, counted, {**node.sides, found.name: nobody_buys})
            if child.cost is None or not _enforced(found, opposed(_pairs(child), identity, day), nobody_buys):
                # Nothing is known of that side but what bounds both.
                floor = node.bound if floor is None else min(floor, node.bound)
            else:
                made.append(child)
        nodes += sorted(made, key=lambda each: each.cost or 0, reverse=True)
    return _told(best or root, root.bound if floor is None else floor, counted, solves, settled=best is not None)


def _next(nodes: Sequence[_Node], *, dives: bool) -> int:
    """Return the place of the node to look at: the cheaper of the last two, or that of the least bound."""
    return len(nodes) - 1 if dives else min(range(len(nodes)), key=lambda place: (nodes[place].bound, place))


def _pairs(node: _Node) -> list[tuple[AccountInputs, Draft]]:
    return list(zip(node.members, node.drafts, strict=True))


def _bars(place: int, account: AccountInputs) -> _Bars:
    return place, frozenset(account.household_trades)


def _child(node: _Node, under: Mapping[int, _Member], counted: Sequence[int], sides: Mapping[str, bool]) -> _Node:
    members, drafts = list(node.members), list(node.drafts)
    for place, (account, draft) in under.items():
        members[place], drafts[place] = account, draft
    child = _node(tuple(members), tuple(drafts), counted, sides)
    # Whatever holds under fewer bars holds under more.
    return replace(child, bound=max(child.bound, node.bound))


def _node(
    members: tuple[AccountInputs, ...], drafts: tuple[Draft, ...], counted: Sequence[int], sides: Mapping[str, bool]
) -> _Node:
    parts = [drafts[place] for place in counted]
    lost = any(each.outcome not in ANSWERED or not _has_value(each) for each in parts)
    cost = None if lost else sum(map(_cost, parts), Decimal(0))
    return _Node(members, drafts, cost, sum(map(_bound, () if lost else parts), Decimal(0)), sides)


def _has_value(draft: Draft) -> bool:
    return draft.outline.summary is not None and draft.outline.certificate is not None


def _value(draft: Draft) -> Decimal:
    return Decimal(0) if draft.outline.summary is None else draft.outline.summary.mix_value


def _cost(draft: Draft) -> Decimal:
    certificate = draft.outline.certificate
    return Decimal(0) if certificate is None else certificate.primal_bps / BPS_PER_ONE * _value(draft)


def _bound(draft: Draft) -> Decimal:
    """Return what no plan of the account is below, in currency; what is not asked about stays what it is."""
    certificate = draft.outline.certificate
    if certificate is None or draft.outline.no_trade_reason in NOT_ASKED:
        return _cost(draft)
    return certificate.dual_bps / BPS_PER_ONE * _value(draft)


def _enforced(found: Opposed, left: Opposed | None, nobody_buys: bool) -> bool:
    """Return whether the bar was kept: where an account's law knows no such bar, its plan stays as it was."""
    if left is None or left.name != found.name:
        return True
    kept = (found.buyers, left.buyers) if nobody_buys else (found.sellers, left.sellers)
    return not set(kept[0]) & set(kept[1])


def _told(node: _Node, floor: Decimal, counted: Sequence[int], solves: int, *, settled: bool) -> Searched:
    """Return the plans of a node, each with what they come to together."""
    cost = node.cost or Decimal(0)
    proof = HouseholdProof(
        account_ids=tuple(node.members[place].account.account_id for place in counted),
        objective=cents(cost),
        bound=min(cents(cost), floor.quantize(CENT, "ROUND_FLOOR")),
        solves=solves,
        settled=settled,
    )
    places = set(counted)
    return Searched(
        tuple(replace(each, household=proof) if at in places else each for at, each in enumerate(node.members)),
        tuple(told_together(each, proof) if at in places else each for at, each in enumerate(node.drafts)),
    )
