"""What would a change of policy have done? A past run's accounts decided again, with the change and without.

Everything but the policy is what the run rested on: accounts, prices, instruments and risk model by their hashes, and
what policy knew when the run was pinned. So a difference is the change's, whatever happened since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.decision.app.policies import with_policy
from services.decision.app.ports.plans import PlanFilter
from services.decision.app.ports.policy import PolicyClient
from services.decision.app.ports.sessions import Read, Session
from services.decision.app.ports.solving import Solver
from services.decision.app.recalling import inputs_of_all
from services.decision.domain.comparison import Comparison, PolicySides, compared
from services.decision.domain.deciding import AccountInputs
from services.decision.domain.plan import Plan
from services.decision.domain.run import Run, RunNotFound
from services.kernel.canonical import rfc3339
from services.kernel.ids import PlanId, RunId


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change does to accounts of a run.

    Attributes:
        comparisons: Of the accounts whose policy it changes, candidate less incumbent, in the order of `plans`.
        plans: Of all accounts looked at.
    """

    run: Run
    comparisons: Sequence[Comparison]
    plans: Sequence[Plan]


@dataclass(frozen=True, slots=True)
class ImpactApp:
    """The use case of trying a change of policy on a past day."""

    read: Read
    policy: PolicyClient
    solver: Solver

    async def impact(
        self, change_id: str, run_id: RunId | None, as_of_time: datetime | None, after: PlanId | None, limit: int
    ) -> Impact:
        """Return what a change would have done to accounts of a run. Nothing is written.

        Args:
            change_id: In whatever state.
            run_id: None for the run that decided for the latest business instant up to `as_of_time`.
            as_of_time: None for the latest of all.
            after: Accounts whose plan comes after this one, by id.
            limit: Accounts at most.

        Raises:
            RunNotFound: There is no such run, or none by that instant.
            NotFound: There is no such change.
            Unreachable: Policy does not answer.
        """
        async with self.read() as session:
            run = await _run(session, run_id, as_of_time)
            plans = await session.plans.listed(PlanFilter(run_id=run.run_id), after, limit)
            # Without a policy nothing was decided that could be compared.
            ruled = [each for each in plans if each.inputs.policy_hash]
            if not ruled:
                return Impact(run, (), plans)
            inputs, basis = await inputs_of_all(session, ruled, self.policy)
        account_ids = [each.account.account_id for each in inputs]
        supposed = await self.policy.supposing(change_id, account_ids, run.as_of_time, run.pinned_time)
        pairs: list[tuple[AccountInputs, AccountInputs]] = []
        for incumbent in inputs:
            policy_hash = supposed.policy_of[incumbent.account.account_id]
            if policy_hash in ("", incumbent.policy_hash):
                continue
            candidate = replace(
                incumbent,
                policy=None,
                refused=None,
                policy_hash=policy_hash,
                policy_version_hashes=supposed.version_hashes[policy_hash],
            )
            pairs.append((incumbent, with_policy(candidate, self.policy, supposed.documents[policy_hash])))
        solved = await self.solver.drafts([each for pair in pairs for each in pair], basis)
        drafts = [each.draft for each in solved]
        found = [
            compared(PolicySides(change_id, candidate.policy_hash, incumbent.policy_hash), before, after_it)
            for (incumbent, candidate), before, after_it in zip(pairs, drafts[::2], drafts[1::2], strict=True)
        ]
        return Impact(run, found, plans)


async def _run(session: Session, run_id: RunId | None, as_of_time: datetime | None) -> Run:
    if run_id is not None:
        found, which = await session.runs.get(run_id), f"run {run_id} does not exist"
    else:
        found = await session.runs.decided_by(as_of_time)
        which = "no run was decided" + ("" if as_of_time is None else f" for an instant up to {rfc3339(as_of_time)}")
    if found is None:
        raise RunNotFound(which, run_id=run_id or "")
    return found
