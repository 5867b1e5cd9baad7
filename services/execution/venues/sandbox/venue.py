"""The sandbox as a venue, and the faults it can be told to have."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

from services.execution.app.venue_port import (
    Acknowledged,
    AllocationInstruction,
    Capabilities,
    InstructionState,
    InstructionView,
    Intent,
    MarketSetting,
    NotTaken,
    OutcomeUnknown,
    Sizes,
    SubmitOutcome,
    VenueReport,
    VenueView,
)
from services.execution.domain.currencies import dealt_currency
from services.execution.domain.errors import FillInvalid, FillNotFound, MarketInvalid, VenueUnreachable
from services.execution.domain.exchanges import Exchange, exchange
from services.execution.domain.order import FillCorrected, Filled, Report
from services.execution.domain.words import OrderType, TimeInForce
from services.execution.venues.sandbox.book import BeginBook, Book
from services.execution.venues.sandbox.market import (
    RestingOrder,
    acknowledged,
    busted,
    canceled,
    change_id,
    corrected,
    expired,
    fee_of,
    replaced,
    resumed,
    suspended,
    too_late,
)
from services.execution.venues.sandbox.priority import matched_in_turn
from services.kernel.clock import Clock
from services.kernel.errors import Violations
from services.kernel.ids import InstrumentId, VenueId

SANDBOX = VenueId("sandbox")
UNLIMITED: Mapping[InstrumentId, Sizes] = MappingProxyType({})

_CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    times_in_force=frozenset(TimeInForce),
    quantity_decimals=9,
    repeats_harmlessly=True,
    replace_keeps_id=True,
    query_settles_s=0,
    books_allocations=True,
    trades_currencies=True,
)


@dataclass(slots=True)
class Faults:
    """What goes wrong, on request of a test: the next so many calls fail, or all while `down`.

    `answers_lost`: the venue takes the order, and its answer is lost. `sends_lost`: the order never arrives.
    """

    answers_lost: int = 0
    sends_lost: int = 0
    down: bool = False

    def take(self, name: str) -> bool:
        """Return whether the next call fails this way, and count it."""
        left: int = getattr(self, name)
        if left == 0:
            return False
        setattr(self, name, left - 1)
        return True


@dataclass(slots=True)
class SandboxVenue:
    """A matching simulator behind `VenuePort`.

    `latency`: how long the market takes to look at a new order. `answers_lost_every`: of so many submissions, the
    answer to the last is lost after it took effect; 0 for none. `exchange`: whose auctions there are.
    """

    begin: BeginBook
    clock: Clock
    latency: timedelta = timedelta(0)
    answers_lost_every: int = 0
    exchange: Exchange = field(default_factory=lambda: exchange("XNYS"))
    faults: Faults = field(default_factory=Faults)
    _submissions: int = 0

    @property
    def venue_id(self) -> VenueId:
        """Return the venue's name."""
        return SANDBOX

    @property
    def capabilities(self) -> Capabilities:
        """Return what the venue can do."""
        return _CAPABILITIES

    @property
    def ready(self) -> bool:
        """Return True: it is in this process. That it is down shows when an order is sent."""
        return True

    async def submit(self, intents: Sequence[Intent]) -> Sequence[SubmitOutcome]:
        """Take orders into the book, each once."""
        lost = OutcomeUnknown("no answer within the time limit")
        arriving = [intent for intent in intents if not self.faults.down and not self.faults.take("sends_lost")]
        outcomes = await self._take(arriving) if arriving else {}
        return [
            lost if intent.client_order_id not in outcomes or self._loses_answer() else outcomes[intent.client_order_id]
            for intent in intents
        ]

    def _loses_answer(self) -> bool:
        self._submissions += 1
        every = self.answers_lost_every
        return (every > 0 and self._submissions % every == 0) or self.faults.take("answers_lost")

    async def _take(self, intents: Sequence[Intent]) -> dict[str, SubmitOutcome]:
        async with self.begin() as book:
            now = self.clock.now()
            market, currencies = await book.market(), await book.currencies({each.instrument_id for each in intents})
            refusals = {intent.client_order_id: _refusal(intent, market, currencies) for intent in intents}
            refused = {name for name, why in refusals.items() if why}
            # An order that was taken stays taken, whatever the market is now.
            known = await book.known(refused) if refused else frozenset()
            # They come one after the other, and whoever came first is served first.
            await book.add(
                [
                    RestingOrder(each, now + number * timedelta.resolution, now + self.latency)
                    for number, each in enumerate(intents)
                    if each.client_order_id not in refused
                ]
            )
        return {name: NotTaken(why) if why and name not in known else Acknowledged() for name, why in refusals.items()}

    async def cancel(self, client_order_id: str, request_id: str) -> None:
        """Cancel what is left of an order; an order that is over answers that it is too late."""
        self._check_reachable()
        async with self.begin() as book:
            await book.lock()
            order, market = await book.order(client_order_id), await book.market()
            if order is None or market is None or await book.said_as(change_id(order, request_id)):
                return
            if not order.open:
                await book.say([(client_order_id, too_late(order, request_id), market.market_time)])
                return
            await _record(book, [canceled(order)], market.market_time)

    async def replace(
        self, client_order_id: str, request_id: str, quantity: Decimal, limit_price: Decimal | None
    ) -> None:
        """Change an open order; an order that is over answers that it is too late."""
        self._check_reachable()
        async with self.begin() as book:
            await book.lock()
            order, market = await book.order(client_order_id), await book.market()
            if order is None or market is None or await book.said_as(change_id(order, request_id)):
                return
            if not order.open:
                await book.say([(client_order_id, too_late(order, request_id), market.market_time)])
                return
            changed = replaced(order, request_id, quantity, limit_price, self.clock.now())
            await _record(book, [changed], market.market_time)

    async def query(self, client_order_id: str) -> VenueView | None:
        """Return an order as the venue has it."""
        self._check_reachable()
        async with self.begin() as book:
            order = await book.order(client_order_id)
        return None if order is None else _view(order)

    async def mass_status(self) -> Sequence[VenueView]:
        """Return all orders, by client order id."""
        self._check_reachable()
        async with self.begin() as book:
            return [_view(order) for order in await book.orders()]

    async def reports(self, after: int, limit: int) -> Sequence[VenueReport]:
        """Let the market look at the orders that are due, and return what was said after `after`."""
        self._check_reachable()
        async with self.begin() as book:
            await book.lock()
            await self._match(book)
            return await book.said(after, limit)

    async def _match(self, book: Book) -> None:
        market, now = await book.market(), self.clock.now()
        if market is None:
            return
        await _record(book, [acknowledged(order) for order in await book.new_orders()], market.market_time)
        due = await book.open_orders(now)
        if not due:
            return
        instruments = {order.intent.instrument_id for order in due}
        looked_at, left = matched_in_turn(due, market, await book.quotes(instruments), self.exchange)
        await _record(book, looked_at, market.market_time)
        await book.leave(left)

    async def instruct(self, instructions: Sequence[AllocationInstruction]) -> None:
        """Take note of who got what, if it is what was filled."""
        self._check_reachable()
        async with self.begin() as book:
            await book.lock()
            orders = await book.orders_named({each.client_order_id for each in instructions})
            await book.instruct(
                [(each, _instruction_view(orders.get(each.client_order_id), each)) for each in instructions]
            )

    async def instructions(self, allocation_ids: Collection[str]) -> Mapping[str, InstructionView]:
        """Return what became of instructions."""
        self._check_reachable()
        async with self.begin() as book:
            return await book.instructions(allocation_ids)

    async def bust_fill(self, report_id: str) -> None:
        """Take a fill back, as if it never happened.

        Raises:
            FillNotFound: No fill was reported under this id.
            FillInvalid: It was busted or corrected before.
        """
        async with self.begin() as book:
            order, fill, time = await self._fill(book, report_id)
            await _record(book, [busted(order, fill)], time)

    async def correct_fill(self, report_id: str, quantity: Decimal, price: Decimal) -> None:
        """Say what a fill was in truth: at most as much as was said. The fee follows the value.

        Raises:
            FillNotFound: No fill was reported under this id.
            FillInvalid: It was busted or corrected before; or quantity or price is out of range.
        """
        async with self.begin() as book:
            order, fill, time = await self._fill(book, report_id)
            wrong = Violations()
            if not 0 < quantity <= fill.quantity:
                wrong.add("quantity", f"must be above 0 and at most {fill.quantity}, was {quantity}")
            if price <= 0:
                wrong.add("price", f"must be above 0, was {price}")
            wrong.raise_if_any(FillInvalid)
            market = await book.market()
            fee = fill.fee if market is None else fee_of(quantity * price, market)
            await _record(book, [corrected(order, fill, quantity, price, fee)], time)

    async def _fill(self, book: Book, report_id: str) -> tuple[RestingOrder, Filled | FillCorrected, datetime]:
        await book.lock()
        said, market = await book.said_as(report_id), await book.market()
        if said is None or market is None or not isinstance(said.report, Filled | FillCorrected):
            raise FillNotFound(f"fill {report_id} does not exist", report_id=report_id)
        order = await book.order(said.client_order_id)
        if order is None:
            raise FillNotFound(f"order {said.client_order_id} does not exist", report_id=report_id)
        wrong = Violations()
        if await book.voided(report_id):
            wrong.add("report_id", f"must be a fill that counts; {report_id} was busted or corrected")
        wrong.raise_if_any(FillInvalid)
        return order, said.report, market.market_time

    async def halt_instrument(self, instrument_id: InstrumentId, halted: bool) -> int:
        """Stop or start the trading of what rests in an instrument, and return how many orders that concerns."""
        async with self.begin() as book:
            await book.lock()
            market, number = await book.market(), await book.last_position() + 1
            if market is None:
                return 0
            change = suspended if halted else resumed
            resting = [
                change(order, number)
                for order in await book.open_orders(None)
                if order.intent.instrument_id == instrument_id and order.suspended is not halted
            ]
            await _record(book, resting, market.market_time)
            return len(resting)

    async def load_market(
        self,
        market: MarketSetting,
        prices: Mapping[InstrumentId, Decimal],
        sizes: Mapping[InstrumentId, Sizes] = UNLIMITED,
    ) -> int:
        """Set the market, and return how many instruments can be traded. A new day ends the orders of the day before.

        Args:
            market: What holds for all instruments.
            prices: Middle prices; instruments that are not named keep theirs, and what is left at it.
            sizes: Of these, those that have only so much to give until they are named again.

        Raises:
            MarketInvalid: A price is not positive, a size negative, or a setting is out of range.
        """
        check_market(market, prices, sizes)
        async with self.begin() as book:
            await book.lock()
            before = await book.market()
            if before is not None and before.market_time.date() < market.market_time.date():
                over = [expired(order) for order in await book.open_orders(None)]
                await _record(book, over, before.market_time)
            return await book.put_market(market, prices, sizes)

    def _check_reachable(self) -> None:
        if self.faults.down:
            raise VenueUnreachable("the sandbox venue does not answer", venue_id=SANDBOX)


def check_market(
    market: MarketSetting,
    prices: Mapping[InstrumentId, Decimal],
    sizes: Mapping[InstrumentId, Sizes] = UNLIMITED,
) -> None:
    """Check that a market can be.

    Raises:
        MarketInvalid: A price is not positive, a size negative, or a setting is out of range.
    """
    wrong = Violations()
    for index, (instrument_id, price) in enumerate(prices.items()):
        if price <= 0:
            wrong.add(f"prices[{index}]", f"price of {instrument_id} must be above 0, was {price}")
        size = sizes.get(instrument_id)
        if size is not None and size.bid < 0:
            wrong.add(f"bid_sizes.units[{index}]", f"size of {instrument_id} must be at least 0, was {size.bid}")
        if size is not None and size.ask < 0:
            wrong.add(f"ask_sizes.units[{index}]", f"size of {instrument_id} must be at least 0, was {size.ask}")
    if not 0 <= market.spread_bps <= 1000:
        wrong.add("spread_bps", f"must be 0 to 1000, was {market.spread_bps}")
    if not 0 <= market.fee_bps <= 100:
        wrong.add("fee_bps", f"must be 0 to 100, was {market.fee_bps}")
    if not 0 < market.fill_share_max <= 1:
        wrong.add("fill_share_max", f"must be above 0 and at most 1, was {market.fill_share_max}")
    wrong.raise_if_any(MarketInvalid)


def _refusal(intent: Intent, market: MarketSetting | None, currencies: Mapping[InstrumentId, str]) -> str:
    """Return why the venue does not take an order; empty when it does."""
    if market is None or intent.instrument_id not in currencies:
        return f"{intent.instrument_id} has no market here"
    # What was loaded by an earlier build has no currency of its own.
    currency = currencies[intent.instrument_id] or market.currency
    # Of a pair either currency may be dealt; the market is in the second.
    if currency != intent.currency and dealt_currency(intent.instrument_id, intent.currency) != currency:
        return f"the market is in {currency}, the order in {intent.currency}"
    return ""


async def _record(book: Book, changes: Sequence[tuple[RestingOrder, list[Report]]], time: datetime) -> None:
    await book.save([order for order, said in changes if said])
    await book.say([(order.intent.client_order_id, report, time) for order, said in changes for report in said])


def _instruction_view(order: RestingOrder | None, instruction: AllocationInstruction) -> InstructionView:
    if order is None:
        return InstructionView(InstructionState.REJECTED, f"order {instruction.client_order_id} is unknown")
    # Each day of trading is told by itself.
    if instruction.quantity > order.filled_quantity:
        why = f"{order.filled_quantity} is filled, {instruction.quantity} is allocated"
        return InstructionView(InstructionState.REJECTED, why)
    return InstructionView(InstructionState.ACCEPTED)


def _view(order: RestingOrder) -> VenueView:
    return VenueView(
        client_order_id=order.intent.client_order_id,
        quantity=order.intent.quantity,
        filled_quantity=order.filled_quantity,
        gross_amount=order.gross_amount,
        fees=order.fees,
        open=order.open,
    )
