"""What the book's use cases, and all that plan, need of the book.

A port is bound to one database transaction: what is done through it is done together, or not at all.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from services.decision.domain.book import (
    AccountBook,
    Allocation,
    Booking,
    Snapshot,
    SnapshotId,
)
from services.decision.domain.identification import Identification
from services.decision.domain.instruments import Instrument
from services.decision.domain.plan import Plan
from services.kernel.events import Event
from services.kernel.ids import AccountId, HouseholdId, InstrumentId, PlanId, RunId


class Books(Protocol):
    """What may be read of the book."""

    async def accounts(self, account_ids: Collection[AccountId], *, trades_since: date) -> Sequence[AccountBook]:
        """Return the accounts that exist, by id, with their booked trades of `trades_since` and later.

        A few queries, however many accounts.
        """
        ...

    async def states(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, tuple[SnapshotId, int]]:
        """Return what each account that exists rests on: its snapshot, and the position that is booked on top.

        Nobody replaces or books one of them before this transaction ends.
        """
        ...

    async def traded_cash(self, since: Mapping[AccountId, int]) -> Mapping[AccountId, Decimal]:
        """Return what booked trades did to each account's cash after a position of execution's stream; absent for 0."""
        ...

    async def account_ids(self, after: AccountId | None, limit: int) -> Sequence[AccountId]:
        """Return the next `limit` account ids after `after`, ascending; from the first when it is None."""
        ...

    async def members(self, household_ids: Collection[HouseholdId]) -> Mapping[HouseholdId, Sequence[AccountId]]:
        """Return the accounts of each household, ascending."""
        ...

    async def households(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, HouseholdId | None]:
        """Return the household of each account that exists; None where it has none."""
        ...

    async def account_ids_missing(self, account_ids: Collection[AccountId]) -> Sequence[AccountId]:
        """Return those ids that no account has, ascending."""
        ...

    async def listed(
        self, household_id: HouseholdId | None, after: AccountId | None, limit: int
    ) -> Sequence[AccountBook]:
        """Return accounts after `after` by id, of the household or of all, without lots and recent trades."""
        ...

    async def holdings(self, account_ids: Collection[AccountId]) -> Sequence[AccountBook]:
        """Return the accounts that exist, by id, without lots and recent trades."""
        ...

    async def openings(self, accounts: Collection[AccountBook], *, lots: bool = False) -> Sequence[AccountBook]:
        """Return each account as the snapshot that it rests on had it, by id; without lots unless `lots`."""
        ...

    async def of_snapshot(self, snapshot_id: SnapshotId, account_id: AccountId) -> AccountBook | None:
        """Return an account as a snapshot had it; None when the snapshot does not have it."""
        ...

    async def instruments(self, instrument_ids: Collection[InstrumentId]) -> Mapping[InstrumentId, Instrument]:
        """Return the instruments that are known, by id."""
        ...

    async def snapshot(self, snapshot_id: SnapshotId) -> Snapshot | None:
        """Return a snapshot."""
        ...

    async def snapshots(self, before: int | None, limit: int) -> Sequence[tuple[int, Snapshot]]:
        """Return snapshots with their number, newest first, those before number `before`."""
        ...

    async def stream_position(self) -> int:
        """Return the position in execution's stream up to which everything is booked; 0 at the start."""
        ...


class Ledger(Books, Protocol):
    """What may be changed in the book, all of it in one transaction."""

    async def lock_stream(self) -> int:
        """Return `stream_position`, and let nobody else change accounts before this transaction ends."""
        ...

    async def advance_stream(self, *, was: int, becomes: int) -> None:
        """Say that everything up to `becomes` is booked.

        Raises:
            Conflict: The position is not `was`.
        """
        ...

    async def units_sold(
        self, sales: Collection[tuple[PlanId, InstrumentId]]
    ) -> Mapping[tuple[PlanId, InstrumentId], Decimal]:
        """Return how many units of each instrument each plan's booked sales sold; absent when none."""
        ...

    async def bookings(self, positions: Collection[int]) -> Mapping[int, Booking]:
        """Return what was booked of the stream's positions; absent where nothing was."""
        ...

    async def approved_amounts(self) -> Mapping[str, Mapping[str, Decimal]]:
        """Return the amounts of law, by name, of each tax year with approved ones that no release has: `DE 2027`."""
        ...

    async def save(self, accounts: Sequence[AccountBook], bookings: Sequence[Booking]) -> None:
        """Keep the accounts, which exist, as they are now, and what was booked."""
        ...

    async def add_snapshot(self, snapshot: Snapshot, instruments: Sequence[Instrument]) -> None:
        """Keep a new snapshot and its instruments; the book's own are those of the latest instant."""
        ...

    async def identify(
        self, said: Mapping[InstrumentId, Identification], as_of_time: datetime
    ) -> Mapping[InstrumentId, Identification]:
        """Keep the public names of instruments, and return those that are new or other than the latest."""
        ...

    async def add_accounts(self, accounts: Sequence[AccountBook]) -> None:
        """Keep what a new snapshot says of accounts."""
        ...

    async def ahead_of(self, snapshot: Snapshot, day_covered: date, limit: int) -> Sequence[AccountId]:
        """Return accounts of `snapshot` that a later snapshot, or a trade after `day_covered`, changed already."""
        ...

    async def open_accounts(self, snapshot: Snapshot, opening_position: int) -> None:
        """Let the book have every account of `snapshot` as the snapshot says."""
        ...

    async def supersede_plans(self, snapshot: Snapshot, at: datetime) -> Sequence[Plan]:
        """End the plans of the snapshot's accounts that execution cannot have yet, and return them without content."""
        ...

    async def emit(self, events: Sequence[Event]) -> None:
        """Tell audit of changes, in this transaction."""
        ...


class Targets(Protocol):
    """What accounts should hold."""

    async def target_weights(
        self, account_ids: Collection[AccountId]
    ) -> Mapping[AccountId, Mapping[InstrumentId, Decimal]]:
        """Return target weights by the policy of each account's newest plan; absent without a plan."""
        ...


class RunAccounts(Protocol):
    """Which accounts a run decided for."""

    async def run_account_ids(self, run_id: RunId) -> Sequence[AccountId] | None:
        """Return the run's accounts, ascending; None when there is no such run."""
        ...


class Allocations(Protocol):
    """What execution reports."""

    def allocations(self, after: int) -> AsyncIterator[Sequence[Allocation]]:
        """Yield every allocation after a position of the stream, ascending, until its present end.

        Raises:
            Unreachable: Execution does not answer.
        """
        ...
