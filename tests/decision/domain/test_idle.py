"""An account that is only screened gets the verdict that it gets when it is decided in full."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decision.clients.solving import check
from services.decision.domain.bulk import decide_many
from services.decision.domain.decide import decide
from services.decision.domain.deciding import draft_plan, problem_of
from services.decision.domain.decision import NoTradeReason
from services.decision.domain.idle import SCREENED, idle_decisions
from services.decision.domain.plan import Failure, PlanContent, PlanOutcome
from services.decision.domain.policy import Distance, Restriction, RestrictionKind, SafetyNets
from services.decision.domain.problem import DecideOptions, Engine
from services.decision.domain.recorded import read_recorded
from services.decision.domain.together import Together, draft_plans
from services.kernel.ids import PolicyHash
from services.kernel.money import Money
from tests.bench import books

pytestmark = pytest.mark.timeout(300)

TOGETHER = Together(idle_decisions, decide_many)
# In basis points: sums run in another order.
ROUNDING_BPS = Decimal("0.00001")
ACCOUNTS, BASIS = books.inputs(24, seed=3, engine="columns")
CALM = {"trigger": Distance(Decimal("0.25"), Decimal(1)), "cash_drift": Decimal("0.2"), "cash_floor": Decimal(0)}


def under(inputs, name="", **changes):
    """The account under its policy with other rules, which have a name of their own."""
    return replace(
        inputs,
        policy=replace(inputs.policy, **changes),
        policy_hash=PolicyHash(f"{inputs.policy_hash} {name or sorted(changes)}"),
    )


def calm(inputs, **changes):
    return under(inputs, "calm" + "".join(sorted(changes)), **{**CALM, **changes})


def with_account(inputs, **changes):
    return replace(inputs, account=replace(inputs.account, **changes))


def in_full(inputs):
    return draft_plan(inputs, replace(BASIS, engine="kernel"), decide, check)


def verdict(draft):
    reason = None if draft.content.decision is None else draft.content.decision.explanation.no_trade_reason
    return draft.outcome, reason, draft.outline.trigger


@st.composite
def rules(draw):
    """What a policy may ask by: tight enough that some of it asks about some accounts."""
    held = st.sampled_from([f"ETF-{number:02}" for number in range(20)])
    return {
        "trigger": Distance(draw(st.sampled_from([Decimal("0.01"), Decimal("0.05"), Decimal("0.3")])), Decimal(1)),
        "drift_triggers": draw(st.sampled_from([True, True, True, False])),
        "own_triggers": draw(st.dictionaries(held, st.just(Distance(Decimal("0.002"))), max_size=1)),
        "own_destinations": draw(st.dictionaries(held, st.just(Distance(Decimal("0.001"))), max_size=1)),
        "cash_drift": draw(st.sampled_from([None, Decimal("0.02"), Decimal("0.10")])),
        "cash_floor": draw(st.sampled_from([Decimal(0), Decimal("0.005"), Decimal("0.02")])),
        "cash_ceiling": draw(st.sampled_from([None, Decimal("0.04")])),
        "cash_flow_minimum": draw(st.sampled_from([None, Money(Decimal(500), "USD")])),
        "total_drift": draw(st.sampled_from([None, Decimal("0.04"), Decimal("0.2")])),
        "tracking_error_trigger": draw(st.sampled_from([None, Decimal("0.003"), Decimal("0.05")])),
        "ladder_steps": draw(st.sampled_from([None, 3])),
        "safety": SafetyNets(
            pause_drift=draw(st.sampled_from([None, None, Decimal("0.02"), Decimal("0.5")])),
            paused=draw(st.sampled_from([False, False, False, True])),
        ),
        "restrictions": draw(
            st.lists(st.builds(Restriction, held, st.sampled_from(RestrictionKind), st.just("a reason")), max_size=1)
        ),
        "snapshot_age_max": draw(st.sampled_from([timedelta(days=1), timedelta(0)])),
        "price_age_max": draw(st.sampled_from([timedelta(days=1), timedelta(0)])),
    }


@st.composite
def accounts(draw):
    """An account as a run may meet it: in order for the most part, with something of its own for the rest."""
    inputs = under(draw(st.sampled_from(ACCOUNTS)), repr(draw(st.integers())), **draw(rules()))
    first, *others = inputs.account.positions
    broken = replace(first.lots[0], acquired_date=BASIS.as_of_time.date() + timedelta(days=1))
    return draw(
        st.sampled_from(
            [
                inputs,
                inputs,
                inputs,
                replace(inputs, event="something happened"),
                replace(inputs, looked_regardless=True),
                replace(inputs, cash_flow=Decimal(-700)),
                replace(inputs, refused=Failure("WHY", "it is refused")),
                replace(inputs, policy=None),
                with_account(inputs, reserved_cash=inputs.account.cash / 2),
                with_account(inputs, cash=Decimal(0)),
                with_account(inputs, currency="EUR"),
                with_account(inputs, as_of_time=BASIS.as_of_time - timedelta(hours=1)),
                with_account(inputs, positions=(replace(first, lots=(broken, *first.lots[1:])), *others)),
                with_account(inputs, positions=()),
            ]
        )
    )


@settings(max_examples=40)
@given(accounts())
def test_a_screened_account_gets_the_verdict_of_the_full_evaluation(inputs):
    (draft,) = draft_plans([inputs], BASIS, Together(idle_decisions, lambda asked, *_: [None] * len(asked)))
    if draft is None:
        return
    full = in_full(inputs)

    assert verdict(draft) == verdict(full)
    assert draft.outline.sentence == full.outline.sentence
    if draft.content.decision is None:
        return
    mine, theirs = draft.content.decision.explanation.summary, full.content.decision.explanation.summary
    told = {"objective_before": None, "objective_after": None}
    assert replace(mine, **told) == replace(theirs, **told)
    assert abs(mine.objective_before.total_bps - theirs.objective_before.total_bps) <= ROUNDING_BPS


def test_what_nothing_asks_about_is_screened_and_everything_else_is_not():
    quiet = [calm(each) for each in ACCOUNTS]

    assert all(each is not None for each in idle_decisions(quiet, BASIS))
    assert not any(idle_decisions([replace(each, event="a merger") for each in quiet], BASIS))
    assert not any(idle_decisions([replace(each, looked_regardless=True) for each in quiet], BASIS))
    assert not any(idle_decisions([calm(each, total_drift=Decimal("0.0001")) for each in ACCOUNTS], BASIS))
    assert not any(idle_decisions([calm(each, tracking_error_trigger=Decimal("0.00001")) for each in ACCOUNTS], BASIS))


def test_an_account_gets_the_same_bytes_beside_any_others():
    mixed = [calm(each) if row % 2 else each for row, each in enumerate(ACCOUNTS)]
    drafts = draft_plans(mixed, BASIS, TOGETHER)
    alone = [draft_plans([each], BASIS, TOGETHER)[0] for each in mixed]

    assert [each.recorded_content for each in drafts] == [each.recorded_content for each in alone]
    assert [each.plan_hash for each in drafts] == [each.plan_hash for each in alone]
    assert all(read_recorded(PlanContent, each.recorded_content) == each.content for each in drafts)
    states = Counter(each.content.decision.certificate.status == SCREENED for each in drafts)
    assert states[True] >= len(ACCOUNTS) // 2


def test_no_plan_of_a_screened_account_is_below_its_bound():
    """Also not of one that is full of losses, which selling would realize."""
    rng = np.random.default_rng(1)
    at_once = DecideOptions(ignore_triggers=True, engine=Engine.KERNEL)
    for each in ACCOUNTS[:8]:
        dear = tuple(
            replace(
                position,
                lots=tuple(
                    replace(lot, basis_total=lot.basis_total * Decimal(f"{rng.uniform(1, 3):.2f}"))
                    for lot in position.lots
                ),
            )
            for position in each.account.positions
        )
        inputs = with_account(calm(each), positions=dear)
        (screened,) = idle_decisions([inputs], BASIS)
        solved = decide(problem_of(inputs, inputs.policy, BASIS), BASIS.risk_model, at_once)

        assert screened.certificate.dual_bps <= solved.certificate.primal_bps
        assert screened.certificate.gap_bps == screened.certificate.primal_bps - screened.certificate.dual_bps >= 0
        assert abs(screened.certificate.hold_bps - solved.certificate.hold_bps) <= ROUNDING_BPS


def test_the_plan_says_that_nothing_was_traded_and_why():
    (draft,) = draft_plans([calm(ACCOUNTS[0])], BASIS, TOGETHER)

    assert draft.outcome is PlanOutcome.NO_TRADE
    assert draft.outline.no_trade_reason == NoTradeReason.WITHIN_BANDS
    assert draft.outline.sentence.startswith("Nothing is traded: every weight is inside its band")
    assert draft.outline.totals.drift_before_value > 0
