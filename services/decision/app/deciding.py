"""Second stage of a run: decides its accounts, shard by shard.

A shard is claimed, computed outside of the event loop, and written in one transaction: plans, events, counts.
The claim's attempt number fences: when a worker lost its claim, another decides the shard again, and the same inputs
give the same plans.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from services.decision.app.changes import Changes
from services.decision.app.events import plan_decided, run_event
from services.decision.app.households import household_trades, settled, with_household
from services.decision.app.last_decided import NEVER, LastDecided, asked_since, last_decided
from services.decision.app.leases import held
from services.decision.app.policies import with_policy
from services.decision.app.ports.policy import PolicyClient
from services.decision.app.ports.runs import ShardAccount
from services.decision.app.ports.sessions import Begin, Read, Session
from services.decision.app.ports.solving import Solved, Solver
from services.decision.app.ports.tracing import Spanned, Tracing
from services.decision.app.recalling import basis_of
from services.decision.domain.account_problem import RECENT_TRADES
from services.decision.domain.book import AccountBook
from services.decision.domain.comparison import Comparison, PolicySides, compared
from services.decision.domain.deciding import AccountInputs, Basis, failed
from services.decision.domain.outline import NO_TOTALS
from services.decision.domain.plan import LIVE_STATES, Draft, Failure, NewPlan, PlanLive, PlanState, first_state
from services.decision.domain.prices import PriceSetId
from services.decision.domain.run import Run, RunState, Shard, backoff
from services.kernel.canonical import content_hash
from services.kernel.clock import Clock
from services.kernel.errors import Conflict, Fact, Invalid
from services.kernel.ids import AccountId, PlanId, PolicyHash, derived_id

# Who approves plans inside their policy's safety nets; the policy's hash follows.
APPROVING_RULE = "rule:within_safety_nets"

LIVE = Failure(PlanLive.reason, "the account has another plan that is not final")


class BookMoved(Conflict):
    """An account is not as it was when it was decided."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """Decides one shard at a time; several may run side by side. A claim not renewed for `lease` is free for others."""

    begin: Begin
    read: Read
    clock: Clock
    policy: PolicyClient
    solver: Solver
    tracing: Tracing
    changes: Changes
    lease: timedelta

    async def step(self) -> bool:
        """Decide the next shard, and return whether there was one."""
        now = self.clock.now()
        async with self.begin() as session:
            shard = await session.runs.claim_shard(now, now + self.lease)
            run = None if shard is None else await session.runs.get(shard.run_id)
        if shard is None or run is None:
            return False
        with self.tracing.continued(
            run.trace_parent,
            "decision.shard",
            evenkeel__run=run.run_id,
            evenkeel__shard=shard.number,
            evenkeel__attempt=shard.attempt,
        ) as span:
            try:
                async with held(lambda: self._hold(shard), self.lease):
                    inputs, basis, bodies = await self._inputs(run, shard)
                    others = await self._other_sides(run, inputs)
                    solved = await self._solved([*inputs, *(each.inputs for each in others)], basis, span)
                    count = len(inputs)
                    inputs, ours = await settled(inputs, solved[:count], basis, self.solver)
                    solved = [*ours, *solved[count:]]
                comparisons = _compared(others, solved)
                await self._record(run, shard, inputs, basis, solved[: len(inputs)], bodies, comparisons)
            except BookMoved:
                span.set_attribute("evenkeel.book_moved", "true")
                await self._give_back(shard)
            except Conflict:
                # Another worker has the shard, or the run was canceled: nothing was written.
                span.set_attribute("evenkeel.fenced", "true")
            except Exception as error:
                await self._failed(run, shard, error)
                raise
        self.changes.tell()
        return True

    async def _hold(self, shard: Shard) -> None:
        async with self.begin() as session:
            await session.runs.hold_shard(shard, self.clock.now() + self.lease)

    async def _give_back(self, shard: Shard) -> None:
        """Let the shard be decided again at once."""
        try:
            async with self.begin() as session:
                await session.runs.hold_shard(shard, self.clock.now())
        except Conflict:
            # Our claim ran out meanwhile, and another worker decides the shard again already.
            return

    async def _failed(self, run: Run, shard: Shard, error: Exception) -> None:
        """Say on the run what its shard failed with, and let the shard wait, longer each time.

        It is tried until the run is canceled: what nobody expected needs a person, who mends it or cancels.
        """
        # Of what is not a fact only the kind is said: its text may be anything, and the log has it.
        what = error.message if isinstance(error, Fact) else f"{type(error).__name__}, see the log"
        # The database may be what failed, and another worker may have the shard: then there is nothing to say.
        with suppress(Fact):
            async with self.begin() as session:
                await session.runs.hold_shard(shard, self.clock.now() + backoff(shard.attempt))
                said = f"shard {shard.number} failed {shard.attempt} times and is tried again: {what}"
                await session.runs.note(run.run_id, said)
            self.changes.tell(work=False)

    async def _inputs(self, run: Run, shard: Shard) -> tuple[Sequence[AccountInputs], Basis, Mapping[str, bytes]]:
        """Return what the shard is decided on, and the accounts' content by hash."""
        async with self.read() as session:
            accounts = await session.runs.shard_accounts(shard)
            ids = [each.account_id for each in accounts]
            since = (run.as_of_time - RECENT_TRADES).date()
            books = {each.account_id: each for each in await session.books.accounts(ids, trades_since=since)}
            live = await session.plans.live_accounts(ids)
            basis = await _basis(session, run)
            documents = await session.contents.get({each.policy_hash for each in accounts if each.policy_hash})
            looking = await asyncio.to_thread(self._looking_at_flows, documents)
            elsewhere = await household_trades(session, books, since)
            asking = [each.account_id for each in accounts if each.policy_hash in looking]
            decided = await last_decided(session, books, asking)

        def prepared() -> tuple[Sequence[AccountInputs], Mapping[str, bytes]]:
            bodies = {each.account_id: books[each.account_id].content() for each in accounts}
            inputs = [
                self._account(
                    each,
                    books[each.account_id],
                    content_hash(bodies[each.account_id]),
                    documents,
                    live,
                    decided.get(each.account_id, NEVER),
                    run,
                )
                for each in accounts
            ]
            inputs = [with_household(each, elsewhere.get(each.account.account_id, ())) for each in inputs]
            return inputs, {each.account_hash: bodies[each.account.account_id] for each in inputs}

        inputs, bodies = await asyncio.to_thread(prepared)
        return inputs, basis, bodies

    async def _other_sides(self, run: Run, inputs: Sequence[AccountInputs]) -> Sequence["_OtherSide"]:
        """Return the accounts under a rollout again, with the policy that is not in force for them."""
        async with self.read() as session:
            sides = await session.comparisons.sides(run.run_id, [each.account.account_id for each in inputs])
            others = {
                each: sides[each].other(policy_hash) for each, policy_hash in _policies_of(inputs) if each in sides
            }
            documents = await session.contents.get(set(others.values()))
            looking = await asyncio.to_thread(self._looking_at_flows, documents)
            books = {each.account.account_id: each.account for each in inputs if each.account.account_id in sides}
            asking = [each for each, policy_hash in others.items() if policy_hash in looking]
            decided = await last_decided(session, books, asking)
        found: list[_OtherSide] = []
        for each in inputs:
            side = sides.get(each.account.account_id)
            # An account that cannot be decided for another reason says nothing about either policy.
            if side is None or each.refused is not None or each.policy is None:
                continue
            other = side.other(each.policy_hash)
            unread = replace(each, policy=None, policy_hash=other, policy_version_hashes=())
            read = with_policy(unread, self.policy, documents[other])
            last = decided.get(each.account.account_id, NEVER)
            found.append(_OtherSide(side, asked_since(read, last, run.as_of_time.date())))
        return found

    def _account(
        self,
        account: ShardAccount,
        book: AccountBook,
        account_hash: str,
        documents: Mapping[str, bytes],
        live: Collection[AccountId],
        decided: LastDecided,
        run: Run,
    ) -> AccountInputs:
        inputs = AccountInputs(
            account=book,
            account_hash=account_hash,
            policy=None,
            policy_hash=account.policy_hash,
            policy_version_hashes=account.version_hashes,
            event=run.event,
        )
        if account.policy_hash:
            inputs = with_policy(inputs, self.policy, documents[account.policy_hash])
        inputs = asked_since(inputs, decided, run.as_of_time.date())
        return replace(inputs, refused=LIVE) if account.account_id in live else inputs

    def _looking_at_flows(self, documents: Mapping[str, bytes]) -> Collection[str]:
        """Return which policies, by hash, ask to look when money comes or goes; what cannot be read asks nothing."""
        found = set()
        for policy_hash, document in documents.items():
            with suppress(Invalid):
                if self.policy.read(document).cash_flow_minimum is not None:
                    found.add(policy_hash)
        return found

    async def _solved(self, inputs: Sequence[AccountInputs], basis: Basis, span: Spanned) -> Sequence[Solved]:
        with self.tracing.span("decision.solve", evenkeel__accounts=len(inputs)) as solving:
            solved = await self.solver.drafts(inputs, basis)
            durations_s = sorted(each.duration_s for each in solved)
            solving.set_attribute("evenkeel.solve.sum_s", sum(durations_s))
            solving.set_attribute("evenkeel.solve.max_s", durations_s[-1])
        span.set_attribute("evenkeel.accounts", len(inputs))
        return solved

    async def _record(
        self,
        run: Run,
        shard: Shard,
        inputs: Sequence[AccountInputs],
        basis: Basis,
        solved: Sequence[Solved],
        bodies: Mapping[str, bytes],
        comparisons: Sequence[Comparison],
    ) -> None:
        at = self.clock.now()
        async with self.begin() as session:
            # One shard of a run at a time gets here, so exactly one of them is the last.
            locked = await session.runs.lock(run.run_id)
            if locked is None or locked.state is not RunState.DECIDING:
                raise Conflict(f"run {run.run_id} is not being decided any more")
            await session.contents.put(bodies)
            plans = [_new_plan(run, each.draft) for each in solved]
            kept = await session.plans.add(run, plans, at)
            # Between our look and now another run gave the account a plan.
            by_account = {each.account.account_id: each for each in inputs}
            late = [plan for plan in plans if plan.plan_id not in kept]
            again = [_new_plan(run, failed(by_account[plan.draft.account_id], basis, LIVE)) for plan in late]
            await session.plans.add(run, again, at)
            recorded = [plan for plan in plans if plan.plan_id in kept] + again
            live = [by_account[plan.draft.account_id] for plan in recorded if plan.state in LIVE_STATES]
            await _check_books(session, live)
            drafts = [plan.draft for plan in recorded]
            outcomes = Counter(draft.outcome for draft in drafts)
            totals = sum((draft.outline.totals for draft in drafts), NO_TOTALS)
            last = await session.runs.complete_shard(shard, outcomes, totals, at)
            await session.comparisons.decided(run.run_id, comparisons, at)
            await session.emit([plan_decided(run, plan) for plan in recorded])
            if shard.attempt > 1:
                # What it said of a failure is over.
                await session.runs.note(run.run_id, "")
            if last:
                decided = replace(locked, state=RunState.EXECUTING, decided_time=at, note="")
                await session.runs.move(decided, was=RunState.DECIDING)
                await session.emit([run_event("decided", run, {"account_count": run.account_count})])


@dataclass(frozen=True, slots=True)
class _OtherSide:
    """An account under a rollout, with the policy that is not in force for it. Never becomes a plan."""

    sides: PolicySides
    inputs: AccountInputs


def _policies_of(inputs: Sequence[AccountInputs]) -> list[tuple[AccountId, PolicyHash]]:
    return [(each.account.account_id, each.policy_hash) for each in inputs]


def _compared(others: Sequence[_OtherSide], solved: Sequence[Solved]) -> Sequence[Comparison]:
    """Return accounts under both policies; what was solved for `others` stands at the end of `solved`."""
    in_force = {each.draft.account_id: each.draft for each in solved[: len(solved) - len(others)]}
    pairs = zip(others, solved[len(solved) - len(others) :], strict=True)
    return [compared(other.sides, in_force[each.draft.account_id], each.draft) for other, each in pairs]


async def _check_books(session: Session, inputs: Sequence[AccountInputs]) -> None:
    """Check that accounts are as they were when they got the plans that were just written.

    Another run's plan may have come and be done since; what it sold must not be sold again. While the plans written are
    live no other can be, and only a live plan's trades are booked: so nothing is missed after this look.

    Raises:
        BookMoved: An account was booked or ingested since.
    """
    now = await session.books.states([each.account.account_id for each in inputs])
    for each in inputs:
        account = each.account
        if now.get(account.account_id) != (account.snapshot_id, account.booked_position):
            raise BookMoved(f"account {account.account_id} changed while it was decided")


async def _basis(session: Session, run: Run) -> Basis:
    prices = await session.prices.price_set(PriceSetId(run.price_set_id))
    if prices is None or run.instruments_hash is None or run.risk_model_hash is None:
        raise RuntimeError(f"run {run.run_id} is decided before it is pinned")
    bodies = await session.contents.get({run.instruments_hash, run.risk_model_hash})
    return basis_of(
        prices,
        bodies[run.instruments_hash],
        bodies[run.risk_model_hash],
        engine=run.engine,
        as_of_time=run.as_of_time,
        currency=run.currency,
    )


def _new_plan(run: Run, draft: Draft) -> NewPlan:
    state = first_state(draft, dry_run=run.dry_run)
    approver = f"{APPROVING_RULE}@{draft.inputs.policy_hash}" if state is PlanState.APPROVED else ""
    return NewPlan(PlanId(derived_id("plan", run.run_id, draft.account_id)), draft, state, approver)
