"""The switch: stops trading in a scope at once, and lets it go on when a second person says so.

A halt closes the gate that every send passes, so it waits for sends that are under way (for at most the time a send
may take), and no later one leaves. In the same transaction everything of the scope that was not sent is given up, and
what is at the venue is marked to be canceled.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from services.execution.app.changes import Changes
from services.execution.app.events import block_event
from services.execution.app.funding import FundingRules
from services.execution.app.market_events import halted, market_loaded, prices_ingested, resumed, volumes_ingested
from services.execution.app.ports import Begin, Ledger, Trace
from services.execution.app.records import BlockRecord, CloseReason, OrderRecord
from services.execution.app.scheduling import bucket_of
from services.execution.app.venue_port import MarketSetting, Sizes
from services.execution.domain.crossing import INTERNAL
from services.execution.domain.errors import HaltNotFound, MarketInvalid
from services.execution.domain.limits import LimitKey, LimitKind, Limits, Usage
from services.execution.domain.trading_hours import TradingHours
from services.execution.domain.trading_state import (
    Halt,
    Scope,
    ScopeKind,
    TradingState,
    check_resume,
    in_force,
    may_leave,
    stricter,
)
from services.execution.domain.words import ReferencePrice
from services.kernel.clock import Clock
from services.kernel.errors import Invalid, Violations
from services.kernel.ids import InstrumentId, VenueId


@dataclass(frozen=True, slots=True)
class Halted:
    """A halt, and how many blocks at the venue are being canceled for it."""

    halt: Halt
    canceling_blocks: int


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What may be traded now: halts in force by scope, limits, and what is counted today of what was asked for."""

    halts: list[Halt]
    limits: Limits
    used: Mapping[LimitKey, Usage]


@dataclass(frozen=True, slots=True)
class Trading:
    """The use cases of stopping, resuming, and letting plans expire."""

    begin: Begin
    trace: Trace
    clock: Clock
    market_clock: Clock
    funding: FundingRules
    hours: TradingHours
    volume_bucket: timedelta
    limits: Limits
    venue_id: VenueId

    @property
    def venues(self) -> frozenset[str]:
        """Return where blocks go."""
        return frozenset({self.venue_id, INTERNAL})

    async def halt(self, scope: Scope, state: TradingState, *, by: str, why: str) -> Halted:
        """Restrict trading in `scope`; when it returns, not one new order leaves.

        Replaces a halt of the same scope, but never a stricter one, which stays: only `resume` loosens. Who asked for
        what is replaced, or for less than what stays, is kept: none of them may resume.

        Raises:
            Invalid: The scope is a venue that we do not trade at: a slip must not pass for a halt.
        """
        if scope.kind is ScopeKind.VENUE and scope.subject_id not in self.venues:
            wrong = Violations()
            wrong.add("scope.id", f"must be one of {', '.join(sorted(self.venues))}, was {scope.subject_id}")
            wrong.raise_if_any(Invalid)
        async with self.begin() as ledger:
            await ledger.close_gate()
            await ledger.lock()
            asked = Halt(scope, state, by, self.clock.now(), why)
            before = (await ledger.halts()).get(scope)
            halt = in_force(before, asked)
            if halt != before:
                await ledger.put_halt(halt)
                await ledger.emit(halted(halt, asked))
            if before is not None and stricter(before, asked):
                return Halted(halt, 0)
            open_blocks = await ledger.open_blocks(scope, None)
            concerned = [each for each in open_blocks if not may_leave(halt, each.block.terms.side)]
            await self._want_canceled(ledger, concerned, CloseReason.TRADING_HALTED)
            unsent = await ledger.unsent_orders(scope, None)
            await self._give_up(
                ledger,
                [order for order in unsent if not may_leave(halt, order.terms.side)],
                CloseReason.TRADING_HALTED,
            )
        return Halted(halt, len(concerned))

    async def resume(self, scope: Scope, *, by: str, why: str) -> None:
        """Lift the halt of `scope`.

        Raises:
            HaltNotFound: Nothing is halted there.
            SelfResume: `by` is one of those who halted it.
        """
        async with self.begin() as ledger:
            await ledger.close_gate()
            halts = await ledger.halts()
            halt = halts.get(scope)
            if halt is None:
                message = f"trading is not halted for {scope.kind} {scope.subject_id}".strip()
                raise HaltNotFound(message, scope=scope.kind, subject_id=scope.subject_id)
            check_resume(halt, by)
            await ledger.remove_halt(scope)
            await ledger.emit(resumed(halt, why))

    async def restrictions(self, subjects: Iterable[LimitKey]) -> Restrictions:
        """Return what may be traded now, with what is counted today for the firm, the venue and `subjects`."""
        today = self.hours.exchange.date_at(self.market_clock.now())
        keys = [LimitKey(LimitKind.FIRM), LimitKey(LimitKind.VENUE, self.venue_id), *subjects]
        async with self.begin() as ledger:
            halts = await ledger.halts()
            used = await ledger.usage(today, keys)
        return Restrictions(
            [halts[scope] for scope in sorted(halts)], self.limits, {key: used.get(key, Usage()) for key in keys}
        )

    async def expire_plans(self) -> int:
        """Give up what plans that have expired did not send, have the venue cancel the rest, and return how much."""
        now = self.market_clock.now()
        async with self.begin() as ledger:
            await ledger.lock()
            expired = [each for each in await ledger.open_blocks(None, now) if not each.cancel_reason]
            orders = await ledger.unsent_orders(None, now)
            for why in (CloseReason.PLAN_EXPIRED, CloseReason.CUT_OFF):
                await self._want_canceled(ledger, [each for each in expired if self._expired(each) is why], why)
                await self._give_up(ledger, [each for each in orders if self._expired(each) is why], why)
        return len(expired) + len(orders)

    def _expired(self, each: BlockRecord | OrderRecord) -> CloseReason:
        return CloseReason.CUT_OFF if self.hours.is_cut_off(each.expire_time) else CloseReason.PLAN_EXPIRED

    async def ingest_prices(self, prices: list[ReferencePrice]) -> int:
        """Keep reference prices that are newer than what is known, and return how many were.

        Raises:
            MarketInvalid: A price is from after the market's present: it would hide all that are true until then.
        """
        now = self.market_clock.now()
        wrong = Violations()
        for instant in sorted({price.as_of_time for price in prices if price.as_of_time > now}):
            wrong.add("provenance.as_of_time", f"must not be after {now.isoformat()}, was {instant.isoformat()}")
        wrong.raise_if_any(MarketInvalid)
        async with self.begin() as ledger:
            updated = await ledger.put_prices(prices)
            await ledger.put_closes(prices, self.hours.exchange)
            await ledger.emit(prices_ingested(prices, updated))
        return updated

    async def ingest_volumes(
        self,
        volumes: Mapping[InstrumentId, Decimal],
        at: datetime,
        source: str,
        values: Mapping[InstrumentId, Decimal] | None = None,
    ) -> None:
        """Keep what was traded in the bucket of time of `at` so far, and for how much where that is known.

        Raises:
            MarketInvalid: The instant is after the market's present.
        """
        now = self.market_clock.now()
        wrong = Violations()
        if at > now:
            wrong.add("provenance.as_of_time", f"must not be after {now.isoformat()}, was {at.isoformat()}")
        wrong.raise_if_any(MarketInvalid)
        async with self.begin() as ledger:
            await ledger.put_volumes(volumes, bucket_of(at, self.volume_bucket), values)
            await ledger.emit(volumes_ingested(volumes, at, source))

    async def market_loaded(
        self, setting: MarketSetting, prices: Mapping[InstrumentId, Decimal], sizes: Mapping[InstrumentId, Sizes]
    ) -> None:
        """Tell audit that somebody set the market of a simulated venue."""
        async with self.begin() as ledger:
            await ledger.emit(market_loaded(setting, prices, sizes))

    async def _want_canceled(self, ledger: Ledger, records: list[BlockRecord], why: CloseReason) -> None:
        marked = [replace(each, cancel_reason=why, update_time=self.clock.now()) for each in records]
        await ledger.save_blocks(marked)
        await ledger.emit(*(block_event("cancel_wanted", each, reason=why) for each in marked))

    async def _give_up(self, ledger: Ledger, orders: list[OrderRecord], why: CloseReason) -> None:
        if not orders:
            return
        changes = Changes(ledger, self.clock.now(), self.funding, self.hours.exchange)
        changes.know(orders)
        for order in orders:
            if not order.close_reason:
                changes.put(replace(order, close_reason=why, update_time=self.clock.now()))
        await changes.finish(self.trace)
