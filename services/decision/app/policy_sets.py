"""Which instruments the policies of accounts name as identical, day by day."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import TypeAlias

from services.decision.app.ports.policy import PolicyDocuments
from services.decision.domain.book.account import EXCHANGE_ZONE
from services.decision.domain.tax.assessment.history import joined_sets
from services.kernel.ids import AccountId, InstrumentId

# So many questions to policy are under way at once.
POLICY_CALLS_MAX = 16
# Names of sets begin so, unlike names of instruments.
POLICY_SET = "policy set "
# Sets of identical instruments by name, each from its day on until the next.
DatedSets: TypeAlias = tuple[tuple[date, Mapping[str, str]], ...]


class PolicySets:
    """Which sets of identical instruments the policies of accounts name on days; each day is asked about once."""

    def __init__(
        self,
        policy: PolicyDocuments,
        account_ids: Sequence[AccountId],
        of_days: Mapping[date, Collection[AccountId]] | None = None,
    ) -> None:
        """Ask about these accounts together, or about those of `of_days` on each of its days."""
        self._policy, self._account_ids, self._of_days = policy, account_ids, of_days
        self._asked = asyncio.Semaphore(POLICY_CALLS_MAX)
        self._days: dict[date, asyncio.Task[Mapping[AccountId, frozenset[frozenset[InstrumentId]]]]] = {}
        self._read: dict[bytes, frozenset[frozenset[InstrumentId]]] = {}

    async def of(self, account_ids: Collection[AccountId], days: Iterable[date]) -> DatedSets:
        """Return the sets of the accounts together on the days, by day, where they change.

        Raises:
            Unreachable: Policy does not answer.
            Invalid: It answers with a document that cannot be read.
        """
        ordered = sorted(set(days))
        for day in ordered:
            if day not in self._days:
                self._days[day] = asyncio.create_task(self._on(day))
        found: list[tuple[date, Mapping[str, str]]] = []
        for day, by_account in zip(ordered, await asyncio.gather(*(self._days[day] for day in ordered)), strict=True):
            sets = {each for account_id in account_ids for each in by_account.get(account_id, ())}
            joined = joined_sets({instrument: f"{POLICY_SET}{min(each)}" for instrument in each} for each in sets)
            names = {name: each for name, each in sorted(joined.items()) if not name.startswith(POLICY_SET)}
            if (found[-1][1] if found else {}) != names:
                found.append((day, names))
        return tuple(found)

    async def _on(self, day: date) -> Mapping[AccountId, frozenset[frozenset[InstrumentId]]]:
        account_ids = self._account_ids if self._of_days is None else sorted(self._of_days[day])
        async with self._asked:
            policies = await self._policy.resolve(account_ids, datetime.combine(day, time(12), EXCHANGE_ZONE))
        sets: dict[AccountId, frozenset[frozenset[InstrumentId]]] = {}
        for account_id, name in policies.policy_of.items():
            if name:
                body = policies.documents[name]
                if body not in self._read:
                    self._read[body] = frozenset(self._policy.read(body).identical)
                sets[account_id] = self._read[body]
        return sets
