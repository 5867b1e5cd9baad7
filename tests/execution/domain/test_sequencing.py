from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.sequencing import Funding, WaitingBuy, release


def a_buy(number=0, quantity=10, cost=100, *, increment=1, rank=None):
    return WaitingBuy(
        f"order-{number}", Decimal(quantity), Decimal(increment), Decimal(cost), number if rank is None else rank
    )


def released(buys, budget, least=0):
    got = release(buys, budget=Decimal(budget), part_amount_min=Decimal(least))
    return {each.order_id: each.quantity for each in got}


def test_cash_and_confirmed_proceeds_may_be_spent_less_a_haircut_on_what_is_not_final():
    funding = Funding(Decimal(100), proceeds=Decimal(1000), settling=Decimal(400), committed=Decimal(50))

    assert funding.budget(Decimal(100)) == 100 + 1000 - 4 - 50
    assert funding.budget(Decimal(0)) == 1050


def test_a_budget_is_never_negative():
    assert Funding(Decimal(0), Decimal(0), Decimal(0), Decimal(1)).budget(Decimal(0)) == 0


def test_what_sells_bring_fills_up_missing_cash_before_buys_use_it():
    missing = Funding(Decimal(-500), proceeds=Decimal(600), settling=Decimal(0), committed=Decimal(0))

    assert missing.budget(Decimal(0)) == 100
    assert released([a_buy(quantity=10, cost=100)], -500) == {}


def test_a_buy_waits_for_its_money():
    assert released([a_buy(quantity=10, cost=100)], 99) == {}
    assert released([a_buy(quantity=10, cost=100)], 1000) == {"order-0": 10}


def test_part_of_the_money_releases_part_in_whole_increments():
    assert released([a_buy(quantity=10, cost=100)], 355) == {"order-0": 3}
    assert released([a_buy(quantity=10, cost=100, increment="0.5")], 355) == {"order-0": Decimal("3.5")}


def test_a_part_that_is_not_worth_its_fees_waits_and_leaves_the_money_to_the_next():
    buys = [a_buy(0, quantity=10, cost=1000), a_buy(1, quantity=5, cost=100)]

    assert released(buys, 1500, least=2000) == {"order-1": 5}


def test_the_first_in_rank_is_served_first():
    assert released([a_buy(1), a_buy(0)], 1500) == {"order-0": 10, "order-1": 5}


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 500)), max_size=10),
    st.integers(0, 20_000),
    st.integers(0, 1000),
)
def test_nothing_is_released_that_is_not_covered(wanted, budget, least):
    buys = [a_buy(number, quantity, cost) for number, (quantity, cost) in enumerate(wanted)]
    got = release(buys, budget=Decimal(budget), part_amount_min=Decimal(least))

    assert sum(each.cost_max for each in got) <= budget
    asked = {buy.order_id: buy.quantity for buy in buys}
    assert all(0 < each.quantity <= asked[each.order_id] for each in got)
