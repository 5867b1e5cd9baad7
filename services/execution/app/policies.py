"""Is a policy version in force? Asked of policy, and remembered for a few seconds.

Execution may not ask per plan, and may not stop because policy restarts; nor may it act on an answer that is old. So
answers are kept `fresh` for long enough to serve a whole run from one question. While policy does not answer, an answer
counts until it is `age_max` old; then plans are refused, and the caller repeats.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from services.execution.app.ports import Policies, PolicyVerdict
from services.execution.domain.errors import PolicyUnverified
from services.execution.domain.plan import Plan
from services.kernel.clock import Clock
from services.kernel.errors import Unreachable
from services.kernel.ids import AccountId, PolicyHash

# Answers kept; the oldest are forgotten first.
ANSWERS_MAX = 100_000


class PoliciesInForce:
    """Policy's answers, and when each was given."""

    def __init__(self, policies: Policies, *, clock: Clock, fresh: timedelta, age_max: timedelta) -> None:
        """Remember nothing yet.

        Args:
            policies: Asks policy.
            clock: Tells how old an answer is.
            fresh: An answer younger than this is not asked for again.
            age_max: While policy does not answer, an answer counts until it is this old.
        """
        self._policies = policies
        self._clock = clock
        self._fresh = fresh
        self._age_max = age_max
        self._answers: dict[PolicyHash, tuple[bool, datetime]] = {}
        self._paused: dict[AccountId, PolicyVerdict] = {}

    async def check(self, hashes: Collection[PolicyHash], at: datetime) -> frozenset[PolicyHash]:
        """Return those of `hashes` that are in force at `at`, as policy said recently enough.

        Raises:
            PolicyUnverified: Policy does not answer, and its last answer is missing or too old.
        """
        now = self._clock.now()
        asking = sorted(each for each in set(hashes) if not self._known(each, now, self._fresh))
        if asking:
            try:
                in_force = await self._policies.in_force(asking, at)
            except Unreachable as error:
                self._refuse_unless_known(asking, now, error)
            else:
                self._remember(asking, in_force, now)
        return frozenset(each for each in hashes if self._answers[each][0])

    async def verdicts(self, plans: Collection[Plan], at: datetime) -> Mapping[AccountId, PolicyVerdict]:
        """Return what policy has against acting on `plans` at `at`; asked each time, because a stop holds at once.

        While policy does not answer, nobody can stop there either, and what `check` knows of the versions has to do; an
        account that was paused when it was last asked about stays so.
        """
        effective = {plan.account_id: plan.policy_hash for plan in plans}
        return await self.verdicts_of({plan.account_id: plan.policy_version_hashes for plan in plans}, at, effective)

    async def verdicts_of(
        self,
        asked: Mapping[AccountId, Collection[PolicyHash]],
        at: datetime,
        effective: Mapping[AccountId, PolicyHash] | None = None,
    ) -> Mapping[AccountId, PolicyVerdict]:
        """Return what policy has against acting for accounts by these versions at `at`; as `verdicts` does.

        What a plan that was taken does further is judged by its versions alone: half of it is done.
        """
        try:
            found = await self._policies.verdicts(asked, at, effective or {})
        except Unreachable:
            return {account_id: self._paused[account_id] for account_id in asked if account_id in self._paused}
        for account_id in asked:
            self._paused.pop(account_id, None)
            if account_id in found and found[account_id].paused:
                self._paused[account_id] = found[account_id]
        while len(self._paused) > ANSWERS_MAX:
            del self._paused[next(iter(self._paused))]
        return found

    def _known(self, policy: PolicyHash, now: datetime, age_max: timedelta) -> bool:
        answer = self._answers.get(policy)
        return answer is not None and now - answer[1] <= age_max

    def _refuse_unless_known(self, asking: Collection[PolicyHash], now: datetime, error: Unreachable) -> None:
        for policy in asking:
            if not self._known(policy, now, self._age_max):
                message = (
                    f"policy does not answer whether {policy} is in force, and an answer may be"
                    f" {self._age_max.total_seconds():g} s old at most"
                )
                raise PolicyUnverified(message, policy_version_hash=policy) from error

    def _remember(self, asked: Collection[PolicyHash], in_force: frozenset[PolicyHash], now: datetime) -> None:
        for policy in asked:
            self._answers.pop(policy, None)
            self._answers[policy] = (policy in in_force, now)
        while len(self._answers) > ANSWERS_MAX:
            del self._answers[next(iter(self._answers))]
