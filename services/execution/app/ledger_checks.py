"""The part of the ledger with plans, and with what plans are checked against."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from services.execution.app.records import KnownPlan, PlanBasis, PlanRecord
from services.execution.domain.exchanges import Exchange
from services.execution.domain.expected_cost import DayVolume
from services.execution.domain.limits import LimitKey, Usage
from services.execution.domain.payment import Movement
from services.execution.domain.trading_state import Halt, Scope
from services.execution.domain.words import ReferencePrice
from services.kernel.ids import AccountId, InstrumentId, PlanId


class CheckLedger(Protocol):
    """Plans, limits of the day, the market, and halts."""

    async def plans(self, plan_ids: Collection[PlanId]) -> dict[PlanId, KnownPlan]:
        """Return the plans submitted before."""
        ...

    async def plan_bases(self, plan_ids: Collection[PlanId]) -> dict[PlanId, PlanBasis]:
        """Return what plans rest on; those not known are missing."""
        ...

    async def add_plans(self, plans: Sequence[PlanRecord]) -> None:
        """Record plans."""
        ...

    async def usage(self, day: date, keys: Collection[LimitKey]) -> dict[LimitKey, Usage]:
        """Return what was ordered on `day`."""
        ...

    async def add_usage(self, day: date, used: Mapping[LimitKey, Usage]) -> None:
        """Count what is ordered on `day`."""
        ...

    async def prices(self, instrument_ids: Collection[InstrumentId]) -> dict[InstrumentId, ReferencePrice]:
        """Return our reference prices."""
        ...

    async def put_prices(self, prices: Sequence[ReferencePrice]) -> int:
        """Keep those that are newer than what is known, and return how many were."""
        ...

    async def put_closes(self, prices: Sequence[ReferencePrice], exchange: Exchange) -> None:
        """Keep the last price of each instrument on each of the exchange's dates."""
        ...

    async def put_volumes(
        self,
        volumes: Mapping[InstrumentId, Decimal],
        bucket_time: datetime,
        values: Mapping[InstrumentId, Decimal] | None = None,
    ) -> None:
        """Record what was traded in a bucket of time so far, and for how much; less than is known changes nothing."""
        ...

    async def volumes(
        self, instrument_ids: Collection[InstrumentId], bucket_time: datetime
    ) -> dict[InstrumentId, Decimal]:
        """Return what was traded in a bucket of time so far; instruments we were told nothing of are missing."""
        ...

    async def volume_curves(
        self, instrument_ids: Collection[InstrumentId], before: datetime
    ) -> dict[InstrumentId, dict[int, Decimal]]:
        """Return what was traded on average in each bucket of the four weeks before the day of `before`.

        Buckets are named by their second of the day, UTC.
        """
        ...

    async def day_volumes(
        self, instrument_ids: Collection[InstrumentId], before: datetime
    ) -> dict[InstrumentId, DayVolume]:
        """Return what was traded in all on the last day (UTC) before that of `before` of which we were told anything.

        Instruments of which we were told nothing in the four weeks before are missing.
        """
        ...

    async def unsettled(self, account_ids: Collection[AccountId], day: date) -> dict[AccountId, list[Movement]]:
        """Return what accounts traded that settles after `day`, as `payment.unpaid` takes it; others are missing."""
        ...

    async def open_instruments(self, account_ids: Collection[AccountId]) -> frozenset[tuple[AccountId, InstrumentId]]:
        """Return what accounts have open orders in."""
        ...

    # Trading state.

    async def halts(self) -> dict[Scope, Halt]:
        """Return the halts in force."""
        ...

    async def put_halt(self, halt: Halt) -> None:
        """Set a halt, in place of another of the same scope."""
        ...

    async def remove_halt(self, scope: Scope) -> None:
        """Lift a halt."""
        ...
