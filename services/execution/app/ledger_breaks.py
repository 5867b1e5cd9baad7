"""The part of the ledger with what others' records say differently."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

from services.execution.app.records import AllocationRecord, Break, Party
from services.execution.domain.custody import Holdings, Spoken
from services.execution.domain.movements import CustodianMovement, MovementKey
from services.kernel.ids import AccountId, InstrumentId


class BreakLedger(Protocol):
    """Breaks, and what custodians said."""

    async def see_breaks(self, breaks: Sequence[Break]) -> list[Break]:
        """Record breaks that are there now, and return those that are news.

        One that a person resolved stays resolved while both sides say the same.
        """
        ...

    async def unseen_breaks(
        self, party: Party, source: str, before: datetime, account_ids: Collection[AccountId] | None
    ) -> list[Break]:
        """Resolve what was not seen since `before` and is of the accounts, or of any; return what that was."""
        ...

    async def breaks(self, *, resolved: bool, owner: str, after: str, limit: int) -> list[Break]:
        """Return breaks after an id, by id: open ones, or all; of an owner, or of anybody when empty."""
        ...

    async def open_breaks(self, party: Party, source: str, account_ids: Collection[AccountId]) -> list[Break]:
        """Return the open breaks of some accounts with a venue or custodian, by id."""
        ...

    async def settled_holdings(
        self, custodian: str, account_ids: Collection[AccountId]
    ) -> dict[AccountId, dict[InstrumentId | None, date]]:
        """Return of which days persons took what a custodian has, by account, and instrument or None for cash."""
        ...

    async def break_(self, break_id: str) -> Break | None:
        """Return and lock a break."""
        ...

    async def save_break(self, each: Break) -> None:
        """Record who owns a break and how it was resolved."""
        ...

    async def broken(
        self, account_ids: Collection[AccountId], grace: timedelta
    ) -> frozenset[tuple[AccountId, InstrumentId | None]]:
        """Return in what the accounts have open breaks; None for their cash.

        A break with a venue counts when it was still there `grace` after it was found.
        """
        ...

    async def custodian_accounts(self, custodian: str, account_ids: Collection[AccountId]) -> dict[AccountId, Spoken]:
        """Return what a custodian said of accounts last; those it never spoke of are missing."""
        ...

    async def put_custodian_accounts(self, custodian: str, day: date, accounts: Mapping[AccountId, Holdings]) -> None:
        """Record what a custodian says of accounts; the first day that it spoke of them stays."""
        ...

    async def movements(
        self, custodian: str, account_ids: Collection[AccountId], since: date
    ) -> dict[MovementKey, CustodianMovement]:
        """Return what a custodian told of accounts' movements of a day and of later ones."""
        ...

    async def put_movements(self, custodian: str, movements: Sequence[CustodianMovement]) -> None:
        """Record what a custodian told, instead of what it told of the same before."""
        ...

    async def traded(
        self, custodian: str, account_ids: Collection[AccountId], after: date, until: date
    ) -> list[AllocationRecord]:
        """Return what accounts at a custodian were allocated with a trade date after one day and up to another.

        As it counts now; where all of it was busted, both the last that was not and that nothing is left.
        """
        ...
