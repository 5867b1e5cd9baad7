"""What execution relies on in any venue. An adapter passes all of it, or it is not used.

To put another adapter under the contract, add a fixture that yields a `Case`: the venue, and how to make its market do
what a test needs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest

from services.execution.app.venue_port import (
    Acknowledged,
    AllocationInstruction,
    AllocationShare,
    InstructionState,
    Intent,
    MarketSetting,
    NotTaken,
    OutcomeUnknown,
    VenuePort,
)
from services.execution.domain.currencies import turn_over
from services.execution.domain.errors import VenueUnreachable
from services.execution.domain.order import ChangeRefused, Filled, OrderState, VenueOrder, fold
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.venues.sandbox.postgres import book_with
from services.execution.venues.sandbox.venue import SandboxVenue
from services.kernel.clock import FixedClock
from services.kernel.money import in_cents
from services.runtime.database import Database
from tests.execution.builders import NOON
from tests.execution.memory import MemoryVenueBook
from tests.execution.venues import fix_cases
from tests.support.quickfix_process import needs_quickfix

# Desks that the broker by QuickFIX has: more than there are tests.
CLIENTS = 80


@dataclass
class Case:
    """A venue under test, with VTI traded at 100 and EUR/USD at 1.2, and what can be done to it."""

    venue: VenuePort
    # Moves VTI's price.
    move: Callable[[str], Awaitable[object]]
    # Ends the trading day.
    next_day: Callable[[], Awaitable[object]]
    # From now on one execution fills at most this share of an order.
    share: Callable[[str], Awaitable[object]]
    # The venue takes the next order, and its answer is lost; or the order itself is lost.
    lose_answer: Callable[[], None]
    lose_order: Callable[[], None]
    # What was lost was waited for in vain: all that is asked from here on is answered, however busy the machine is.
    waits_again: Callable[[], None]
    # The venue stops answering, and answers again.
    down: Callable[[bool], Awaitable[object]]
    # The venue takes a fill back, or says what it was in truth: name of the order, id of the fill's report.
    bust: Callable[[str, str], Awaitable[object]]
    correct: Callable[[str, str, Decimal, Decimal], Awaitable[object]]
    # The venue halts VTI, or lets it trade again.
    halt: Callable[[bool], Awaitable[object]]
    # Waits until everything that the venue has said has arrived.
    settled: Callable[[], Awaitable[object]]


def sandbox_case(begin):
    clock = FixedClock(NOON)
    venue = SandboxVenue(begin=begin, clock=clock)
    setting = {"share": "1", "price": "100", "days": 0}

    async def load(**changed):
        setting.update(changed)
        market = MarketSetting(
            "USD", Decimal(0), Decimal(1), 7, Decimal(setting["share"]), NOON + timedelta(days=setting["days"])
        )
        await venue.load_market(market, {"VTI": Decimal(setting["price"]), "EUR/USD": Decimal("1.2")})

    async def down(is_down):
        venue.faults.down = is_down

    async def nothing():
        pass

    case = Case(
        venue=venue,
        move=lambda price: load(price=price),
        next_day=lambda: load(days=setting["days"] + 1),
        share=lambda share: load(share=share),
        lose_answer=lambda: setattr(venue.faults, "answers_lost", 1),
        lose_order=lambda: setattr(venue.faults, "sends_lost", 1),
        waits_again=lambda: None,
        down=down,
        bust=lambda _, report_id: venue.bust_fill(report_id),
        correct=lambda _, report_id, quantity, price: venue.correct_fill(report_id, quantity, price),
        halt=lambda halted: venue.halt_instrument("VTI", halted),
        settled=nothing,
    )
    return case, load


@pytest.fixture
async def sandbox_in_memory():
    case, load = sandbox_case(MemoryVenueBook().begin)
    await load()
    return case


@pytest.fixture
async def sandbox_in_postgres(execution_database):
    database = Database(execution_database.settings())
    case, load = sandbox_case(book_with(database))
    await load()
    yield case
    await database.close()


def fix_case(trader, broker, *, bust, correct, halt):
    """Put the FIX adapter under test, against a broker."""

    async def down(is_down):
        await trader.down(is_down)

    async def load_again(**changed):
        await broker.load(**changed)

    def waits(answer_s):
        trader.venue.answer_s = answer_s

    def lose_answer():
        trader.proxy.hold(until=fix_cases.STATUS)
        waits(fix_cases.ANSWER_S)

    def lose_order():
        trader.proxy.cut_before = lambda data: fix_cases.NEW_ORDER in data
        waits(fix_cases.ANSWER_S)

    waits(fix_cases.SETTLED_S)
    return Case(
        venue=trader.venue,
        move=lambda price: load_again(price=price),
        next_day=lambda: load_again(days=broker.setting["days"] + 1),
        share=lambda share: load_again(share=share),
        lose_answer=lose_answer,
        lose_order=lose_order,
        waits_again=lambda: waits(fix_cases.SETTLED_S),
        down=down,
        bust=bust,
        correct=correct,
        halt=halt,
        settled=lambda: fix_cases.settled(trader, broker),
    )


@pytest.fixture
async def fix_to_the_sandbox(execution_database):
    settings = execution_database.settings()
    broker = await fix_cases.a_sandbox_broker(settings)
    trader = await fix_cases.a_trader(settings, broker.port)
    yield fix_case(
        trader,
        broker,
        bust=lambda _, report_id: broker.sandbox.bust_fill(fix_cases.exec_id(report_id)),
        correct=lambda _, report_id, quantity, price: broker.sandbox.correct_fill(
            fix_cases.exec_id(report_id), quantity, price
        ),
        halt=lambda halted: broker.sandbox.halt_instrument("VTI", halted),
    )
    await trader.stop()
    await broker.stop()


@pytest.fixture(scope="module")
async def quickfix_broker(tmp_path_factory):
    """One process for all tests: a desk and a session for each."""
    clients = [f"CLIENT-{number}" for number in range(CLIENTS)]
    broker = await fix_cases.a_quickfix_broker(tmp_path_factory.mktemp("broker"), clients=clients)
    yield broker.process, broker.port, iter(clients)
    await broker.stop()


@pytest.fixture
async def fix_to_quickfix(execution_database, quickfix_broker):
    process, port, clients = quickfix_broker
    broker = fix_cases.QuickFixBroker(process, port, next(clients))
    await broker.load()
    trader = await fix_cases.a_trader(execution_database.settings(), port, us=broker.client)
    ask = broker.ask
    yield fix_case(
        trader,
        broker,
        bust=lambda name, report_id: ask("bust", order=name, fill=fix_cases.exec_id(report_id)),
        correct=lambda name, report_id, quantity, price: ask(
            "correct", order=name, fill=fix_cases.exec_id(report_id), quantity=str(quantity), price=str(price)
        ),
        halt=lambda halted: ask("halt", instrument="VTI", halted=halted),
    )
    await trader.stop()


@pytest.fixture(
    params=[
        "sandbox_in_memory",
        "sandbox_in_postgres",
        "fix_to_the_sandbox",
        # `make test-chaos`: a minute. What is particular to a foreign engine is in `test_fix44_counterparties`.
        pytest.param("fix_to_quickfix", marks=[needs_quickfix, pytest.mark.chaos]),
    ]
)
def case(request):
    return request.getfixturevalue(request.param)


def an_order(name="c-1", quantity=10, side=Side.BUY, limit=None, tif=TimeInForce.DAY, instrument="VTI"):
    return Intent(
        client_order_id=name,
        instrument_id=instrument,
        side=side,
        quantity=Decimal(quantity),
        increment=Decimal(1),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=None if limit is None else Decimal(limit),
        time_in_force=tif,
        currency="USD",
    )


async def submit(venue, intent):
    (outcome,) = await venue.submit([intent])
    return outcome


async def said(case, after=0):
    """Read the venue's stream until nothing more comes."""
    reports = []
    await case.settled()
    while more := await case.venue.reports(reports[-1].position if reports else after, 3):
        reports.extend(more)
    return reports


async def the_order(case, name="c-1", quantity=10):
    reports = [each.report for each in await said(case) if each.client_order_id == name]
    return fold(VenueOrder(Decimal(quantity)), reports)


async def test_an_order_is_taken_and_filled(case):
    assert await submit(case.venue, an_order()) == Acknowledged()

    order = await the_order(case)
    assert (order.state, order.average_price, order.fees) == (OrderState.FILLED, 100, Decimal("0.10"))


async def test_the_same_order_twice_is_one_order(case):
    assert await submit(case.venue, an_order()) == Acknowledged()
    await said(case)
    assert await submit(case.venue, an_order()) == Acknowledged()

    assert (await the_order(case)).filled_quantity == 10
    assert len(await case.venue.mass_status()) == 1


async def test_the_same_order_many_times_at_once_is_one_order(case):
    outcomes = await asyncio.gather(*[submit(case.venue, an_order()) for _ in range(5)])

    assert outcomes == [Acknowledged()] * 5
    assert (await the_order(case)).filled_quantity == 10
    assert len(await case.venue.mass_status()) == 1


async def test_an_order_for_what_nobody_trades_is_not_taken(case):
    assert isinstance(await submit(case.venue, an_order(instrument="NONE")), NotTaken)
    assert await case.venue.query("c-1") is None


async def test_a_lost_answer_is_unknown_and_asking_tells(case):
    case.lose_answer()
    assert isinstance(await submit(case.venue, an_order()), OutcomeUnknown)
    case.waits_again()

    assert (await case.venue.query("c-1")).quantity == 10


async def test_a_lost_order_is_unknown_and_asking_tells(case):
    case.lose_order()
    assert isinstance(await submit(case.venue, an_order()), OutcomeUnknown)
    case.waits_again()
    await case.settled()

    assert await case.venue.query("c-1") is None
    assert await submit(case.venue, an_order()) == Acknowledged()


async def test_the_stream_has_no_gap_and_is_the_same_when_read_again(case):
    await case.share("0.3")
    for number in range(3):
        await submit(case.venue, an_order(f"c-{number}"))
    first = await said(case)

    assert [each.position for each in first] == list(range(1, len(first) + 1))
    assert await said(case) == first
    assert await said(case, after=4) == first[4:]
    assert len({each.report.report_id for each in first}) == len(first)


async def test_fills_come_in_parts_that_sum_to_the_order(case):
    await case.share("0.3")
    await submit(case.venue, an_order(quantity=100))

    order = await the_order(case, quantity=100)
    assert len(order.fills) >= 4
    assert (order.state, order.filled_quantity) == (OrderState.FILLED, 100)
    assert all(fill.quantity % 1 == 0 for fill in order.fills.values())


async def test_orders_sent_together_have_an_outcome_each(case):
    orders = [an_order("c-1"), an_order("c-2", instrument="NONE"), an_order("c-3")]
    taken, refused, also_taken = await case.venue.submit(orders)

    assert (taken, also_taken) == (Acknowledged(), Acknowledged())
    assert isinstance(refused, NotTaken)
    assert "NONE" in refused.why
    assert [view.client_order_id for view in await case.venue.mass_status()] == ["c-1", "c-3"]


async def test_of_orders_that_are_lost_together_each_is_unknown_or_taken_and_asking_tells(case):
    case.lose_order()
    orders = [an_order(f"c-{number}") for number in range(3)]
    outcomes = await case.venue.submit(orders)
    case.waits_again()
    await case.settled()

    assert isinstance(outcomes[0], OutcomeUnknown)
    for order, outcome in zip(orders, outcomes, strict=True):
        view = await case.venue.query(order.client_order_id)
        assert (view is None) == isinstance(outcome, OutcomeUnknown)
    assert set(await case.venue.submit(orders)) == {Acknowledged()}
    await said(case)
    assert sorted(view.filled_quantity for view in await case.venue.mass_status()) == [10, 10, 10]


async def test_an_order_that_was_taken_stays_taken_when_it_arrives_again(case):
    await submit(case.venue, an_order("c-1"))
    first, second = await case.venue.submit([an_order("c-1"), an_order("c-2")])

    assert (first, second) == (Acknowledged(), Acknowledged())
    assert len(await case.venue.mass_status()) == 2


async def test_a_limit_waits_for_its_price(case):
    await submit(case.venue, an_order("buy", limit="99"))
    await submit(case.venue, an_order("sell", side=Side.SELL, limit="101"))
    assert [(await the_order(case, name)).state for name in ("buy", "sell")] == [OrderState.NEW] * 2

    await case.move("99")
    assert (await the_order(case, "buy")).average_price == 99
    await case.move("101")
    assert (await the_order(case, "sell")).average_price == 101


async def test_a_cancel_ends_what_is_left(case):
    await submit(case.venue, an_order(limit="99"))
    await case.venue.cancel("c-1", "r-1")

    order = await the_order(case)
    assert (order.state, order.leaves_quantity) == (OrderState.CANCELED, 0)
    await case.move("98")
    assert (await the_order(case)).filled_quantity == 0


async def test_a_cancel_that_comes_too_late_changes_nothing(case):
    await submit(case.venue, an_order())
    await said(case)
    await case.venue.cancel("c-1", "r-1")

    assert (await the_order(case)).state is OrderState.FILLED


async def test_a_cancel_of_an_unknown_order_is_harmless(case):
    await case.venue.cancel("nobody", "r-1")

    assert await said(case) == []


async def test_a_day_order_ends_with_its_day(case):
    await submit(case.venue, an_order(limit="99"))
    await said(case)
    await case.next_day()

    assert (await the_order(case)).state is OrderState.EXPIRED


async def test_fill_or_kill_is_filled_whole_or_not_at_all(case):
    await case.share("0.1")
    await submit(case.venue, an_order("whole", quantity=100, tif=TimeInForce.FILL_OR_KILL))
    await submit(case.venue, an_order("none", limit="99", tif=TimeInForce.FILL_OR_KILL))

    assert len((await the_order(case, "whole", 100)).fills) == 1
    assert (await the_order(case, "none")).state is OrderState.CANCELED


async def test_immediate_or_cancel_leaves_nothing_open(case):
    await case.share("0.5")
    await submit(case.venue, an_order(quantity=100, tif=TimeInForce.IMMEDIATE_OR_CANCEL))

    order = await the_order(case, quantity=100)
    assert order.state is OrderState.CANCELED
    assert 0 < order.filled_quantity < 100


async def test_the_venues_own_view_agrees_with_what_it_said(case):
    await case.share("0.4")
    for number in range(3):
        await submit(case.venue, an_order(f"c-{number}", quantity=50 + number))
    await said(case)

    for view in await case.venue.mass_status():
        order = await the_order(case, view.client_order_id, view.quantity)
        assert (view.filled_quantity, view.fees, view.open) == (order.filled_quantity, order.fees, False)
        assert abs(view.gross_amount - order.gross_amount) <= view.amount_tolerance


async def test_a_venue_that_is_down_says_so_and_forgets_nothing(case):
    await submit(case.venue, an_order())
    await case.down(True)
    assert isinstance(await submit(case.venue, an_order("c-2")), OutcomeUnknown)
    for call in (
        case.venue.query("c-1"),
        case.venue.mass_status(),
        case.venue.cancel("c-1", "r"),
    ):
        with pytest.raises(VenueUnreachable):
            await call
    await case.down(False)

    assert (await the_order(case)).state is OrderState.FILLED


async def test_a_cancel_asked_for_twice_is_one_cancel(case):
    await submit(case.venue, an_order("open", limit="99"))
    await submit(case.venue, an_order("over"))
    await said(case)
    for _ in range(3):
        await case.venue.cancel("open", "r-1")
        await case.venue.cancel("over", "r-2")

    assert (await the_order(case, "open")).state is OrderState.CANCELED
    assert (await the_order(case, "over")).state is OrderState.FILLED
    ids = [each.report.report_id for each in await said(case)]
    assert len(set(ids)) == len(ids)


async def test_a_replace_changes_quantity_and_limit(case):
    await submit(case.venue, an_order(limit="99"))
    await case.venue.replace("c-1", "r-1", Decimal(20), Decimal("101"))

    order = await the_order(case)
    assert (order.state, order.quantity, order.filled_quantity) == (OrderState.FILLED, 20, 20)
    assert order.limit_price == 101


async def test_an_order_keeps_its_name_through_a_chain_of_replaces(case):
    await submit(case.venue, an_order(limit="90"))
    await case.venue.replace("c-1", "r-1", Decimal(20), Decimal(91))
    await case.venue.replace("c-1", "r-2", Decimal(30), Decimal(92))
    await case.venue.cancel("c-1", "r-3")

    order = await the_order(case)
    assert (order.state, order.quantity, order.limit_price) == (OrderState.CANCELED, 30, 92)
    assert {each.client_order_id for each in await said(case)} == {"c-1"}
    assert [view.client_order_id for view in await case.venue.mass_status()] == ["c-1"]
    assert (await case.venue.query("c-1")).quantity == 30


async def test_the_same_replace_twice_is_one(case):
    await submit(case.venue, an_order(limit="90"))
    for _ in range(3):
        await case.venue.replace("c-1", "r-1", Decimal(20), Decimal(91))

    kinds = [type(each.report).__name__ for each in await said(case)]
    assert kinds.count("Replaced") == 1
    assert "ChangeRefused" not in kinds


async def test_a_replace_to_less_than_is_filled_closes_the_order_at_what_is_filled(case):
    await case.share("0.001")
    await submit(case.venue, an_order(quantity=10_000, limit="100"))

    async def filled_once():
        return any(isinstance(each.report, Filled) for each in await case.venue.reports(0, 1000))

    await fix_cases.until(filled_once)
    await case.move("101")
    filled = (await the_order(case, quantity=10_000)).filled_quantity
    assert 0 < filled < 10_000
    await case.venue.replace("c-1", "r-1", Decimal(1), Decimal(100))

    order = await the_order(case, quantity=10_000)
    assert (order.state, order.quantity, order.filled_quantity) == (OrderState.FILLED, filled, filled)


async def test_a_replace_that_comes_too_late_is_refused_and_changes_nothing(case):
    await submit(case.venue, an_order())
    await said(case)
    await case.venue.replace("c-1", "r-1", Decimal(20), None)

    order = await the_order(case)
    assert (order.state, order.quantity) == (OrderState.FILLED, 10)
    assert [each.report.request_id for each in await said(case) if isinstance(each.report, ChangeRefused)] == ["r-1"]


async def test_a_fill_that_is_busted_never_happened(case):
    await submit(case.venue, an_order())
    (fill,) = (await the_order(case)).fills
    await case.bust("c-1", fill)

    order = await the_order(case)
    assert (order.filled_quantity, order.fees, order.leaves_quantity) == (0, 0, 0)
    assert order.state is OrderState.CANCELED
    assert (await case.venue.query("c-1")).filled_quantity == 0


async def test_a_fill_that_is_corrected_counts_as_corrected(case):
    await submit(case.venue, an_order())
    (fill,) = (await the_order(case)).fills
    await case.correct("c-1", fill, Decimal(10), Decimal(99))

    order = await the_order(case)
    assert (order.state, order.filled_quantity, order.gross_amount) == (OrderState.FILLED, 10, 990)
    assert fill not in order.fills
    (again,) = order.fills
    await case.bust("c-1", again)
    assert (await the_order(case)).filled_quantity == 0


async def test_a_halt_suspends_what_rests_and_its_end_resumes_it(case):
    await submit(case.venue, an_order(limit="99"))
    await said(case)
    await case.halt(True)
    await case.move("98")
    order = await the_order(case)
    assert (order.state, order.leaves_quantity) == (OrderState.SUSPENDED, 0)
    await case.halt(False)

    assert (await the_order(case)).state is OrderState.FILLED


async def test_what_happened_while_the_venue_was_away_is_learned_when_it_is_back(case):
    await submit(case.venue, an_order("first", limit="99"))
    await submit(case.venue, an_order("second", limit="90"))
    await said(case)
    await case.down(True)
    await case.move("99")
    await case.down(False)

    views = {view.client_order_id: view for view in await case.venue.mass_status()}
    assert (await the_order(case, "first")).state is OrderState.FILLED
    assert (await the_order(case, "second")).state is OrderState.NEW
    assert views["second"].open
    assert set(views) == {"first", "second"}


def an_instruction(name="a-1", quantity=10, shares=((1, 4), (2, 6)), replaces=None):
    return AllocationInstruction(
        allocation_id=name,
        replaces=replaces,
        client_order_id="c-1",
        instrument_id="VTI",
        side=Side.BUY,
        currency="USD",
        quantity=Decimal(quantity),
        average_price=Decimal(100),
        trade_date=NOON.date(),
        settlement_date=NOON.date() + timedelta(days=1),
        shares=tuple(AllocationShare(f"acc-{who}", Decimal(part), Decimal("0.05")) for who, part in shares),
    )


async def instructed(case, name):
    """Return what became of an instruction, once the venue has looked at it."""
    await case.settled()
    return (await case.venue.instructions([name]))[name].state


async def test_who_got_what_is_instructed_once(case):
    assert await case.venue.instructions(["a-1"]) == {}
    await submit(case.venue, an_order())
    await said(case)
    for _ in range(2):
        await case.venue.instruct([an_instruction()])

    assert await instructed(case, "a-1") is InstructionState.ACCEPTED


async def test_an_instruction_for_more_than_was_filled_is_rejected_and_says_why(case):
    await submit(case.venue, an_order())
    await said(case)
    await case.venue.instruct([an_instruction(quantity=11, shares=((1, 5), (2, 6)))])

    assert await instructed(case, "a-1") is InstructionState.REJECTED
    assert "10" in (await case.venue.instructions(["a-1"]))["a-1"].why


async def test_an_instruction_takes_the_place_of_another_after_a_correction(case):
    await submit(case.venue, an_order())
    (fill,) = (await the_order(case)).fills
    await case.venue.instruct([an_instruction()])
    await case.correct("c-1", fill, Decimal(9), Decimal(100))
    await said(case)
    await case.venue.instruct([an_instruction("a-2", 9, ((1, 4), (2, 5)), replaces="a-1")])

    assert await instructed(case, "a-2") is InstructionState.ACCEPTED


def a_deal(name="c-1", quantity="1000.10", side=Side.BUY, limit=None, currency="USD"):
    """An order for euros, paid in dollars, or for dollars, paid in euros."""
    return replace(
        an_order(name, quantity, side, limit, instrument="EUR/USD"),
        increment=Decimal("0.01"),
        currency=currency,
        settlement_date=NOON.date() + timedelta(days=2),
    )


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize(("currency", "amount", "fee"), [("USD", "1200.12", "0.12"), ("EUR", "833.42", "0.08")])
async def test_either_currency_of_a_pair_is_dealt_to_the_cent(case, side, currency, amount, fee):
    assert await submit(case.venue, a_deal(side=side, currency=currency)) == Acknowledged()

    order = await the_order(case, quantity="1000.10")
    assert (order.state, order.filled_quantity) == (OrderState.FILLED, Decimal("1000.10"))
    assert (in_cents(order.gross_amount), order.fees) == (Decimal(amount), Decimal(fee))
    view = await case.venue.query("c-1")
    assert (view.filled_quantity, view.open) == (Decimal("1000.10"), False)
    if view.gross_amount is not None:
        assert in_cents(view.gross_amount) == Decimal(amount)


@pytest.mark.parametrize(
    ("currency", "waits", "goes"),
    [("USD", "1.1999", "1.2"), ("EUR", turn_over(Decimal("1.20001")), turn_over(Decimal("1.2")))],
)
async def test_a_limit_of_a_pair_counts_for_the_currency_that_is_paid(case, currency, waits, goes):
    await submit(case.venue, a_deal(limit=waits, currency=currency))
    assert (await the_order(case, quantity="1000.10")).state is OrderState.NEW
    await case.venue.replace("c-1", "r-1", Decimal("2000.20"), Decimal(goes))

    order = await the_order(case, quantity="1000.10")
    assert (order.state, order.filled_quantity, order.limit_price) == (
        OrderState.FILLED,
        Decimal("2000.20"),
        Decimal(goes),
    )


@pytest.mark.parametrize("currency", ["USD", "EUR"])
async def test_a_deal_in_parts_is_busted_and_corrected_like_any_order(case, currency):
    await case.share("0.3")
    await submit(case.venue, a_deal(currency=currency))
    order = await the_order(case, quantity="1000.10")
    assert len(order.fills) >= 4
    assert order.state is OrderState.FILLED
    first, second, *_ = order.fills.values()
    await case.bust("c-1", first.report_id)

    after = await the_order(case, quantity="1000.10")
    assert after.filled_quantity == order.filled_quantity - first.quantity
    assert after.gross_amount == order.gross_amount - first.quantity * first.price
    assert second.report_id in after.fills


async def test_a_pair_is_not_traded_for_a_third_currency(case):
    assert isinstance(await submit(case.venue, a_deal(currency="GBP")), NotTaken)
