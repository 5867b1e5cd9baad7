"""Sends each block once, and finds out what became of it when the answer is lost.

A block is written down (PENDING) before it is sent. One transaction claims it for this attempt (SENDING); the next one
holds the gate that a halt closes, sends it, and records the answer. So:

- killed before the claim: it is PENDING and is sent later;
- killed after the claim, sent or not: it stays SENDING with an attempt that nobody continues, and the venue is asked
  by its client order id before anything is sent again;
- a write that fails undoes the answers of the whole attempt, those that left after it included: the same as killed;
- a halt that was acknowledged: the gate was closed while no send was under way, and every later send sees the halt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from services.execution.app.events import block_event
from services.execution.app.ports import Begin, Ledger, Trace
from services.execution.app.records import BlockRecord, CloseReason
from services.execution.app.traces import by_trace
from services.execution.app.venue_port import Acknowledged, Intent, NotTaken, OutcomeUnknown, SubmitOutcome, VenuePort
from services.execution.domain.currencies import dealt_currency
from services.execution.domain.errors import VenueUnreachable
from services.execution.domain.exchanges import Exchange
from services.execution.domain.order import OrderState
from services.execution.domain.settlement import turning_date
from services.execution.domain.trading_hours import AUCTIONS, TradingHours
from services.execution.domain.trading_state import Halt, Scope, ScopeKind, may_leave, scopes, strictest
from services.execution.domain.words import OrderType
from services.kernel.clock import Clock
from services.kernel.events import Event
from services.kernel.ids import BlockId

# Blocks that one attempt claims, and sends while a halt has to wait.
SENT_PER_GATE_MAX = 50
# Blocks asked about, or canceled, in one transaction.
ASKED_MAX = 50


@dataclass(frozen=True, slots=True)
class Sending:
    """The use cases of sending and canceling blocks at one venue.

    `market_clock` tells whether a plan has expired. `resolve_after`: how long a send may be without an answer before
    the venue is asked; longer than a send can take.
    """

    begin: Begin
    venue: VenuePort
    trace: Trace
    clock: Clock
    market_clock: Clock
    hours: TradingHours
    new_attempt: Callable[[], str]
    resolve_after: timedelta

    async def send_blocks(self) -> int:
        """Send what was not sent yet, while the venue takes orders, and return how many blocks left."""
        sent = 0
        while self.venue.ready and (claimed := await self._claim()):
            attempt, block_ids = claimed
            sent += await self._send(attempt, block_ids)
        return sent

    async def _claim(self) -> tuple[str, list[BlockId]] | None:
        # Few at a time: what is claimed must be sent before others have reason to ask what became of it.
        attempt = self.new_attempt()
        async with self.begin() as ledger:
            claimed = await ledger.claim_blocks(self.venue.venue_id, attempt, self.clock.now(), SENT_PER_GATE_MAX)
        return (attempt, claimed) if claimed else None

    async def _send(self, attempt: str, block_ids: list[BlockId]) -> int:
        sent = 0
        async with self.begin() as ledger:
            await ledger.pass_gate()
            halts = await ledger.halts()
            for group in by_trace(await ledger.claimed_blocks(attempt, block_ids)):
                with self.trace.continued(
                    group.parent, "execution.block.send", also=group.also, evenkeel__blocks=len(group.records)
                ):
                    known = await self._submit(group.records, halts)
                    await ledger.save_blocks([record for record, _ in known])
                    await ledger.emit(*(event for _, event in known))
                sent += sum(record.cancel_reason == "" for record, _ in known)
        return sent

    async def _submit(
        self, records: Sequence[BlockRecord], halts: Mapping[Scope, Halt]
    ) -> list[tuple[BlockRecord, Event]]:
        """Send blocks, but for those that must not leave any more, and return what we know of each then."""
        market_time = self.market_clock.now()
        reasons = {record.block_id: _forbidden(record, halts, market_time, self.hours) for record in records}
        leaving = [record for record in records if not reasons[record.block_id]]
        intents = [_intent(record, self.hours.exchange) for record in leaving]
        outcomes = await self.venue.submit(intents) if leaving else ()
        known = [self._sent(record, outcome) for record, outcome in zip(leaving, outcomes, strict=True)]
        held = [self._held_back(record, why) for record in records if (why := reasons[record.block_id])]
        return known + held

    def _held_back(self, record: BlockRecord, why: str) -> tuple[BlockRecord, Event]:
        held = replace(
            record,
            ours=OrderState.PENDING,
            attempt="",
            cancel_reason=why,
            update_time=self.clock.now(),
        )
        return held, block_event("held_back", held, reason=why)

    def _sent(self, record: BlockRecord, outcome: SubmitOutcome) -> tuple[BlockRecord, Event]:
        now = self.clock.now()
        match outcome:
            case Acknowledged():
                known = replace(record, ours=OrderState.PENDING_NEW, update_time=now)
                return known, block_event("sent", known, quantity=record.block.quantity)
            case NotTaken(why):
                known = replace(record, ours=OrderState.REJECTED, reject_reason=why, update_time=now)
                return known, block_event("refused_by_venue", known, why=why)
            case OutcomeUnknown(why):
                known = replace(record, ours=OrderState.UNKNOWN, update_time=now)
                return known, block_event("outcome_unknown", known, why=why)
            case _:
                assert_never(outcome)

    async def resolve_blocks(self) -> int:
        """Ask the venue about sends without an answer, and return how many are known now."""
        resolved = 0
        async with self.begin() as ledger:
            before = self.clock.now() - self.resolve_after
            for group in by_trace(await ledger.unresolved_blocks(self.venue.venue_id, before, ASKED_MAX)):
                with self.trace.continued(
                    group.parent, "execution.block.ask", also=group.also, evenkeel__blocks=len(group.records)
                ):
                    for record in group.records:
                        resolved += await self._resolve(ledger, record)
        return resolved

    async def _resolve(self, ledger: Ledger, record: BlockRecord) -> bool:
        now = self.clock.now()
        try:
            view = await self.venue.query(record.block.client_order_id)
        except VenueUnreachable:
            if record.ours is not OrderState.UNKNOWN:
                unknown = replace(record, ours=OrderState.UNKNOWN)
                await ledger.save_blocks([unknown])
                await ledger.emit(block_event("outcome_unknown", unknown, why="the venue does not answer"))
            return False
        if view is not None:
            found = replace(record, ours=OrderState.PENDING_NEW, update_time=now)
            await ledger.save_blocks([found])
            await ledger.emit(block_event("found_at_venue", found, filled_quantity=view.filled_quantity))
            return True
        settles = timedelta(seconds=self.venue.capabilities.query_settles_s)
        if now - record.update_time < settles:
            # It may still arrive; "unknown" is no answer yet.
            return False
        missing = replace(record, ours=OrderState.PENDING, attempt="", update_time=now)
        await ledger.save_blocks([missing])
        await ledger.emit(block_event("not_at_venue", missing))
        return True

    async def cancel_blocks(self) -> int:
        """Ask the venue to cancel what we want canceled, and return how many were asked for."""
        canceled = 0
        async with self.begin() as ledger:
            for record in await ledger.blocks_to_cancel(self.venue.venue_id, ASKED_MAX):
                request_id = f"{record.block.client_order_id}:cancel"
                try:
                    await self.venue.cancel(record.block.client_order_id, request_id)
                except VenueUnreachable:
                    # Asked again next time; a cancel that arrives twice is harmless.
                    break
                asked = replace(record, cancel_sent=True, update_time=self.clock.now())
                await ledger.save_blocks([asked])
                await ledger.emit(block_event("cancel_sent", asked, reason=record.cancel_reason))
                canceled += 1
        return canceled


def _forbidden(record: BlockRecord, halts: Mapping[Scope, Halt], market_time: datetime, hours: TradingHours) -> str:
    """Return why a claimed block must not leave; empty when it may."""
    if record.cancel_reason:
        # Wanted canceled after it was claimed.
        return record.cancel_reason
    if _halt_of(record, halts) is not None:
        return CloseReason.TRADING_HALTED
    if record.expire_time <= market_time:
        return CloseReason.CUT_OFF if hours.is_cut_off(record.expire_time) else CloseReason.PLAN_EXPIRED
    # Formed in time and not sent in time: its orders wait for the next session, in another block.
    late = record.block.terms.time_in_force not in AUCTIONS and not hours.open_at(market_time)
    return CloseReason.CUT_OFF if late else ""


def _halt_of(record: BlockRecord, halts: Mapping[Scope, Halt]) -> Halt | None:
    """Return the halt that forbids a block: one account's halt holds the whole block back."""
    terms = record.block.terms
    covering = list(scopes(venue_id=terms.venue_id, instrument_id=terms.instrument_id, account_id=None))
    if any(scope.kind is ScopeKind.ACCOUNT for scope in halts):
        covering += [Scope(ScopeKind.ACCOUNT, share.account_id) for share in record.statement.shares]
    halt = strictest(halts, covering)
    return None if may_leave(halt, terms.side) else halt


def _intent(record: BlockRecord, exchange: Exchange) -> Intent:
    terms = record.block.terms
    dealt = dealt_currency(terms.instrument_id, terms.currency)
    # A market buy leaves with a limit: nobody pays more than what was set aside.
    limit = record.protection_price if terms.limit_price is None else terms.limit_price
    return Intent(
        client_order_id=record.block.client_order_id,
        instrument_id=terms.instrument_id,
        side=terms.side,
        quantity=record.block.quantity,
        increment=terms.increment,
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=limit,
        time_in_force=terms.time_in_force,
        currency=terms.currency,
        settlement_date=None
        if dealt is None
        else turning_date(record.trade_date, exchange, traded=dealt, account=terms.currency),
    )
