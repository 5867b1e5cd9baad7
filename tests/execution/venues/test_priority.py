"""Where the sandbox's market has only so much to give: price, then time."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.app.venue_port import Intent, MarketSetting, Quote, Sizes
from services.execution.domain.exchanges import exchange
from services.execution.domain.order import OrderState, VenueOrder, fold
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.venues.sandbox.market import RestingOrder
from services.execution.venues.sandbox.postgres import book_with
from services.execution.venues.sandbox.priority import in_priority, matched_in_turn
from services.execution.venues.sandbox.venue import SandboxVenue
from services.kernel.clock import FixedClock
from services.runtime.database import Database
from tests.execution.builders import NOON
from tests.execution.memory import MemoryVenueBook

MARKET = MarketSetting("USD", Decimal(0), Decimal(0), 1, Decimal(1), NOON)
HOURS = exchange("XNYS")


def an_intent(name, quantity=10, side=Side.BUY, limit=None, tif=TimeInForce.DAY, increment="1"):
    return Intent(
        client_order_id=name,
        instrument_id="VTI",
        side=side,
        quantity=Decimal(quantity),
        increment=Decimal(increment),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=None if limit is None else Decimal(limit),
        time_in_force=tif,
        currency="USD",
    )


def resting(name, came=0, **what):
    return RestingOrder(an_intent(name, **what), NOON + timedelta(seconds=came), NOON)


def test_a_better_price_comes_first_then_whoever_came_earlier():
    buys = [
        resting("late", 3, limit="101"),
        resting("low", 1, limit="100.50"),
        resting("early", 2, limit="101"),
        resting("market", 4),
    ]
    sells = [resting("dear", 1, side=Side.SELL, limit="99.50"), resting("cheap", 2, side=Side.SELL, limit="99")]

    assert [each.intent.client_order_id for each in in_priority(buys)] == ["market", "early", "late", "low"]
    assert [each.intent.client_order_id for each in in_priority(sells)] == ["cheap", "dear"]


orders = st.lists(
    st.builds(
        dict,
        came=st.integers(0, 5),
        quantity=st.integers(1, 50),
        side=st.sampled_from(Side),
        limit=st.sampled_from([None, "98", "99.5", "100", "100.5", "102"]),
        tif=st.sampled_from([TimeInForce.DAY, TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL]),
    ),
    max_size=12,
)


@given(orders, st.integers(0, 80), st.integers(0, 80))
def test_no_more_is_filled_than_there_is_and_nobody_before_whoever_came_first(drawn, bid, ask):
    book = [resting(f"c-{number}", **each) for number, each in enumerate(drawn)]
    sizes = Sizes(Decimal(bid), Decimal(ask))

    looked_at, left = matched_in_turn(book, MARKET, {"VTI": Quote(Decimal(100), sizes)}, HOURS)
    after = [order for order, _ in looked_at]

    now = left.get("VTI", sizes)
    for side, before, rest in ((Side.BUY, sizes.ask, now.ask), (Side.SELL, sizes.bid, now.bid)):
        filled = sum(order.filled_quantity for order in after if order.intent.side is side)
        assert filled + rest == before
        assert rest >= 0
        # Who takes parts, and could have had more, leaves nothing to those behind.
        ours = [order for order in after if order.intent.side is side]
        in_part = [place for place, order in enumerate(ours) if 0 < order.leaves_quantity < order.intent.quantity]
        behind = ours[in_part[0] + 1 :] if in_part else []
        assert not any(order.filled_quantity for order in behind)


def test_fill_or_kill_is_killed_where_too_little_is_offered_and_takes_nothing():
    killed = resting("all", tif=TimeInForce.FILL_OR_KILL)
    after, left = matched_in_turn(
        [killed, resting("some", 1)], MARKET, {"VTI": Quote(Decimal(100), Sizes(Decimal(0), Decimal(9)))}, HOURS
    )

    assert [(order.open, order.filled_quantity) for order, _ in after] == [(False, 0), (True, 9)]
    assert left == {"VTI": Sizes(Decimal(0), Decimal(0))}


def test_whole_increments_are_filled_and_the_rest_of_the_size_stays():
    after, left = matched_in_turn(
        [resting("halves", increment="0.5")],
        MARKET,
        {"VTI": Quote(Decimal(100), Sizes(Decimal(0), Decimal("3.7")))},
        HOURS,
    )

    assert after[0][0].filled_quantity == Decimal("3.5")
    assert left["VTI"].ask == Decimal("0.2")


@pytest.fixture
def in_memory():
    return SandboxVenue(begin=MemoryVenueBook().begin, clock=FixedClock(NOON))


@pytest.fixture
async def in_postgres(execution_database):
    database = Database(execution_database.settings())
    yield SandboxVenue(begin=book_with(database), clock=FixedClock(NOON))
    await database.close()


@pytest.fixture(params=["in_memory", "in_postgres"])
def venue(request):
    return request.getfixturevalue(request.param)


async def a_quote(venue, bid, ask):
    await venue.load_market(MARKET, {"VTI": Decimal(100)}, {"VTI": Sizes(Decimal(bid), Decimal(ask))})


async def stands(venue, name, quantity=10):
    while await venue.reports(0, 1000) != await venue.reports(0, 1000):
        pass
    said = [each.report for each in await venue.reports(0, 1000) if each.client_order_id == name]
    order = fold(VenueOrder(Decimal(quantity)), said)
    return order.state, order.filled_quantity


async def test_what_one_quote_does_not_fill_waits_for_the_next(venue):
    await a_quote(venue, bid=0, ask=12)
    await venue.submit([an_intent("a"), an_intent("b"), an_intent("c", side=Side.SELL)])

    assert await stands(venue, "a") == (OrderState.FILLED, 10)
    assert await stands(venue, "b") == (OrderState.PARTIALLY_FILLED, 2)
    assert await stands(venue, "c") == (OrderState.NEW, 0)

    await a_quote(venue, bid=4, ask=100)
    assert await stands(venue, "b") == (OrderState.FILLED, 10)
    assert await stands(venue, "c") == (OrderState.PARTIALLY_FILLED, 4)

    await venue.load_market(MARKET, {"VTI": Decimal(100)})
    assert await stands(venue, "c") == (OrderState.FILLED, 10)


async def test_whoever_wants_more_goes_behind_and_whoever_wants_less_keeps_their_place(venue):
    await a_quote(venue, bid=0, ask=0)
    await venue.submit([an_intent("a", limit="100"), an_intent("b", limit="100"), an_intent("c", limit="100")])
    venue.clock.advance(timedelta(seconds=1))
    await venue.replace("a", "a:more", Decimal(11), None)
    await venue.replace("b", "b:less", Decimal(9), None)

    await a_quote(venue, bid=0, ask=20)

    assert await stands(venue, "b") == (OrderState.FILLED, 9)
    assert await stands(venue, "c") == (OrderState.FILLED, 10)
    assert await stands(venue, "a") == (OrderState.PARTIALLY_FILLED, 1)
