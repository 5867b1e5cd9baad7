"""A household's plans: no loss is denied, no way to give way is better, and the bound is below each of them."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import product

import numpy as np
import pytest

from services.decision.clients.solving import check
from services.decision.domain.book import HoldingKind, Position
from services.decision.domain.bulk import decide_many
from services.decision.domain.decide import decide
from services.decision.domain.deciding import draft_plan, plan_hash
from services.decision.domain.household import Opposed, barred, opposed
from services.decision.domain.household_search import search
from services.decision.domain.idle import idle_decisions
from services.decision.domain.plan import PlanOutcome
from services.decision.domain.problem import LotId, LotState
from services.decision.domain.together import Together, draft_plans
from tests.bench import books

pytestmark = pytest.mark.timeout(300)

ACCOUNTS, BASIS = books.inputs(1, seed=11, engine="columns")
TOGETHER = Together(idle_decisions, decide_many)
CENT = Decimal("0.01")
DAY = BASIS.as_of_time.date()
# What a household's plans may be worse by: a tenth of a basis point of its value, as the search ends there.
GAP_SHARE = Decimal("1e-5")


def drafted(members, basis=BASIS):
    found = draft_plans(members, basis, TOGETHER)
    return [
        draft_plan(member, basis, decide, check) if each is None else each
        for member, each in zip(members, found, strict=True)
    ]


def same(instrument_id):
    return instrument_id


def a_household(seed, count, instruments, first=0):
    """Accounts of which each has much of what the next wants, in lots that were bought dearly."""
    rng = np.random.default_rng(seed)
    names = sorted(ACCOUNTS[0].policy.weights)[first : first + instruments]
    members = []
    for number in range(count):
        sells = [(place + number) % 2 == 0 for place in range(instruments)]
        parts = np.array([rng.uniform(0.1, 0.4) if each else rng.uniform(0.6, 1.0) for each in sells])
        weights = {name: Decimal(f"{0.95 * part:.4f}") for name, part in zip(names, parts / parts.sum(), strict=True)}
        policy = replace(
            ACCOUNTS[0].policy,
            weights=weights,
            cash_weight=1 - sum(weights.values()),
            turnover_limit=None,
            band_excess_price_bps=Decimal(50),
            tracking_variance_price_bps=Decimal(20_000),
        )
        positions = []
        for name, each in zip(names, sells, strict=True):
            price = BASIS.market.prices.quotes[name].price
            units = Decimal(int(rng.uniform(0.6, 1.0) * (60_000 if each else 15_000) / float(price)))
            basis = (units * price * Decimal(f"{rng.uniform(1.02, 1.6):.2f}")).quantize(CENT)
            lot = LotState(LotId(f"h{seed}-{number}-{name}"), DAY - timedelta(days=700), units, basis)
            positions.append(Position(name, HoldingKind.TRADED, units, (lot,)))
        account = replace(
            ACCOUNTS[0].account, account_id=f"h{seed}-{number}", positions=tuple(positions), cash=Decimal(4000)
        )
        members.append(replace(ACCOUNTS[0], account=account, policy=policy, policy_hash=f"p{seed}-{number}"))
    return members


def cost(drafts):
    return sum(each.outline.certificate.primal_bps / 10_000 * each.outline.summary.mix_value for each in drafts)


def searched(members, drafts, **how):
    """Run the search, deciding again whatever it wants."""
    searching, again, solves = search(members, drafts, same, DAY, **how), None, 0
    while True:
        try:
            wanted = next(searching) if again is None else searching.send(again)
        except StopIteration as ended:
            return ended.value, solves
        solves += len(wanted)
        again = drafted(wanted)


def again_and_again(members, drafts):
    """What was done before: settle one conflict after the other, each by its cheaper side."""
    while (found := opposed(list(zip(members, drafts, strict=True)), same, DAY)) is not None:
        ways = []
        for buyers in (True, False):
            ours, theirs = list(members), list(drafts)
            changed = barred(found, members, DAY, buyers=buyers)
            for (place, account), draft in zip(changed.items(), drafted(list(changed.values())), strict=True):
                ours[place], theirs[place] = account, draft
            ways.append((cost(theirs), ours, theirs))
        _, members, drafts = min(ways, key=lambda way: way[0])
    return drafts


def every_way(members, names):
    """What is best of all ways: for each name either nobody buys it, or nobody sells it at a loss."""
    everybody, best = tuple(range(len(members))), None
    for sides in product((True, False), repeat=len(names)):
        under = list(members)
        for name, buyers in zip(names, sides, strict=True):
            for place, account in barred(
                Opposed(name, everybody, everybody, name, name), under, DAY, buyers=buyers
            ).items():
                under[place] = account
        drafts = drafted(under)
        assert opposed(list(zip(under, drafts, strict=True)), same, DAY) is None
        best = cost(drafts) if best is None else min(best, cost(drafts))
    return best


@pytest.mark.parametrize("seed", [1, 2])
def test_no_way_to_give_way_is_better(seed):
    members = a_household(seed, 2, 3)
    drafts = drafted(members)
    assert opposed(list(zip(members, drafts, strict=True)), same, DAY) is not None
    found, solves = searched(members, drafts)
    proof = found.drafts[0].inputs.household
    tolerance = GAP_SHARE * sum(each.outline.summary.mix_value for each in drafts)
    best = every_way(members, sorted(members[0].policy.weights))

    assert opposed(list(zip(found.members, found.drafts, strict=True)), same, DAY) is None
    assert cost(found.drafts) <= cost(again_and_again(members, drafts))
    assert cost(found.drafts) <= best + tolerance
    assert proof.settled
    assert proof.solves == solves
    assert proof.bound <= best + CENT
    own = sum(each.outline.certificate.gap_bps / 10_000 * each.outline.summary.mix_value for each in found.drafts)
    assert 0 <= proof.objective - proof.bound <= max(own, tolerance) + CENT
    assert proof.objective == pytest.approx(cost(found.drafts), abs=CENT)
    assert proof.account_ids == tuple(each.account.account_id for each in members)


def test_conflicts_that_have_nothing_to_do_with_each_other_add_up_and_do_not_multiply():
    pairs = [a_household(seed, 2, 3, first=first) for seed, first in ((1, 0), (2, 3), (5, 6))]
    apart = [searched(members, drafted(members)) for members in pairs]
    members = [each for pair in pairs for each in pair]
    found, solves = searched(members, drafted(members))
    proof = found.drafts[0].inputs.household

    assert solves <= sum(each for _, each in apart)
    proofs = [each.drafts[0].inputs.household for each, _ in apart]
    tolerance = GAP_SHARE * sum(each.outline.summary.mix_value for each in found.drafts)
    assert proof.objective == pytest.approx(sum(each.objective for each in proofs), abs=tolerance + 2 * CENT)
    assert proof.objective - proof.bound <= sum(each.objective - each.bound for each in proofs) + tolerance + 2 * CENT


def test_plans_that_do_not_oppose_each_other_stay_as_they_are():
    members = a_household(1, 2, 3)
    drafts = drafted(members[:1])
    found, solves = searched(members[:1], drafts)

    assert solves == 0
    assert list(found.drafts) == drafts
    assert found.drafts[0].inputs.household is None


def test_a_search_that_may_not_go_on_still_gives_way_and_says_what_it_did_not_prove():
    members = a_household(1, 3, 4)
    drafts = drafted(members)
    full, _ = searched(members, drafts)
    short, solves = searched(members, drafts, solves_max=1)
    proof = short.drafts[0].inputs.household

    assert opposed(list(zip(short.members, short.drafts, strict=True)), same, DAY) is None
    assert proof.settled
    assert solves < 3 * full.drafts[0].inputs.household.solves + 12
    assert cost(full.drafts) <= cost(short.drafts)
    assert proof.bound <= full.drafts[0].inputs.household.objective


def test_a_law_that_denies_no_loss_asks_nobody_to_give_way():
    known = {name: replace(each, currency="EUR") for name, each in BASIS.market.instruments.items()}
    euros = replace(BASIS, currency="EUR", market=replace(BASIS.market, instruments=known))
    members = [
        replace(
            each,
            account=replace(each.account, currency="EUR"),
            policy=replace(each.policy, minimum_trade=None, tax=replace(each.policy.tax, jurisdiction="DE")),
        )
        for each in a_household(1, 2, 3)
    ]
    drafts = drafted(members, euros)
    _, solves = searched(members, drafts)

    assert {each.outcome for each in drafts} == {PlanOutcome.TRADE}
    assert solves == 0


def test_the_plans_name_covers_what_the_household_came_to():
    members = a_household(1, 2, 3)
    found, _ = searched(members, drafted(members))
    draft = found.drafts[0]

    assert draft.plan_hash == plan_hash(draft.account_id, draft.outcome, draft.inputs, draft.content)
    assert draft.inputs.household is not None
    # Decided again from those inputs it is the same plan.
    (again,) = drafted([found.members[0]])
    assert again.plan_hash == draft.plan_hash
