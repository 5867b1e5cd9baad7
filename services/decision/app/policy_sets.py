"""Which instruments the policies of accounts name as identical, day by day."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TypeAlias

from services.decision.app.ports.policy import PolicyDocuments
from services.decision.domain.book.account import EXCHANGE_ZONE
from services.decision.domain.tax.assessment.history import joined_sets
from services.kernel.errors import Invalid
from services.kernel.ids import AccountId, InstrumentId

# So many questions to policy are under way at once.
POLICY_CALLS_MAX = 16
# Names of sets begin so, unlike names of instruments.
POLICY_SET = "policy set "
# Sets of identical instruments by name, each from its day on until the next.
DatedSets: TypeAlias = tuple[tuple[date, Mapping[str, str]], ...]
# What a policy names: sets of identical instruments.
NamedSets: TypeAlias = frozenset[frozenset[InstrumentId]]


class PolicySets:
    """Which sets of identical instruments the policies of accounts name on days; each day is asked about once."""

    def __init__(
        self,
        policy: PolicyDocuments,
        account_ids: Sequence[AccountId],
        of_days: Mapping[date, AbstractSet[AccountId]] | None = None,
    ) -> None:
        """Ask about these accounts together, or about those of `of_days` on each of its days."""
        self._policy, self._account_ids, self._of_days = policy, account_ids, of_days
        self._asked = asyncio.Semaphore(POLICY_CALLS_MAX)
        self._days: dict[date, asyncio.Task[Mapping[AccountId, NamedSets | Invalid]]] = {}
        self._read: dict[bytes, NamedSets | Invalid] = {}

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
        answers = await asyncio.gather(*(self._days[day] for day in ordered))
        return _dated(account_ids, zip(ordered, answers, strict=True))

    async def _on(self, day: date) -> Mapping[AccountId, NamedSets | Invalid]:
        account_ids = self._account_ids if self._of_days is None else sorted(self._of_days[day])
        async with self._asked:
            policies = await self._policy.resolve(account_ids, datetime.combine(day, time(12), EXCHANGE_ZONE))
        sets: dict[AccountId, NamedSets | Invalid] = {}
        for account_id, name in policies.policy_of.items():
            if name:
                body = policies.documents[name]
                if body not in self._read:
                    self._read[body] = self._named(body)
                # Most name none: what many accounts are asked about on many days stays small.
                if said := self._read[body]:
                    sets[account_id] = said
        return sets

    def _named(self, document: bytes) -> NamedSets | Invalid:
        try:
            return frozenset(self._policy.read(document).identical)
        except Invalid as fact:
            return fact

    async def every(self) -> "SaidSets":
        """Return what all policies of `of_days` name on their days; a document that cannot be read is its account's.

        Raises:
            Unreachable: Policy does not answer.
        """
        of_days = self._of_days or {}
        for day in sorted(of_days.keys() - self._days.keys()):
            self._days[day] = asyncio.create_task(self._on(day))
        try:
            answers = await asyncio.gather(*(self._days[day] for day in sorted(of_days)))
        except BaseException:
            # Where policy does not answer once, it is not asked a thousand times more.
            for each in self._days.values():
                each.cancel()
            await asyncio.gather(*self._days.values(), return_exceptions=True)
            raise
        return SaidSets(of_days, dict(zip(sorted(of_days), answers, strict=True)))


@dataclass(frozen=True, slots=True)
class SaidSets:
    """What policies named when they were asked.

    Attributes:
        of_days: The accounts that were asked about, by day.
        named: What the policies of these accounts name, or why that cannot be read; absent where they name nothing.
    """

    of_days: Mapping[date, AbstractSet[AccountId]]
    named: Mapping[date, Mapping[AccountId, NamedSets | Invalid]]

    def know(self, account_ids: Collection[AccountId], days: Iterable[date]) -> bool:
        """Return whether all the accounts were asked about on all the days."""
        return all(name in self.of_days.get(day, ()) for day in days for name in account_ids)

    def of(self, account_ids: Collection[AccountId], days: Iterable[date]) -> DatedSets:
        """Return the sets of the accounts together on the days, by day, where they change.

        Raises:
            Invalid: A document cannot be read.
        """
        return _dated(account_ids, ((day, self.named[day]) for day in sorted(set(days))))


def _dated(
    account_ids: Collection[AccountId], named: Iterable[tuple[date, Mapping[AccountId, NamedSets | Invalid]]]
) -> DatedSets:
    found: list[tuple[date, Mapping[str, str]]] = []
    before: Mapping[str, str] = {}
    for day, by_account in named:
        sets: set[frozenset[InstrumentId]] = set()
        for account_id in account_ids:
            said = by_account.get(account_id, frozenset())
            if isinstance(said, Invalid):
                raise said
            sets |= said
        joined = joined_sets({instrument: f"{POLICY_SET}{min(each)}" for instrument in each} for each in sets)
        names = {name: each for name, each in sorted(joined.items()) if not name.startswith(POLICY_SET)}
        if before != names:
            found.append((day, names))
            before = names
    return tuple(found)
