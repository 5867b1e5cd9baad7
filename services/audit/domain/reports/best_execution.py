"""Where each order went and why: FINRA 5310, and Del. Reg. (EU) 2017/565, Articles 64 and 66."""

from decimal import Decimal
from typing import cast

from services.audit.domain.reports.order_columns import (
    OrderReport,
    Value,
    about,
    average_price,
    columns,
    executions,
    of_fact,
    of_order,
    times,
)
from services.audit.domain.reports.orders import Order, Orders, told_time
from services.kernel.canonical import JsonValue
from services.kernel.decimals import plain

_RULE = "FINRA 5310(a)(1); Del. Reg. (EU) 2017/565, Art. 64 and 66"


def _cost_bps(found: Orders, order: Order) -> JsonValue:
    """Return what the fills cost against the price at arrival, in basis points of it; positive is a cost."""
    average, arrivals = average_price(found, order), found.block_data(order, "arrival_price")
    if average is None or len(arrivals) != 1:
        return None
    arrival = Decimal(cast(str, arrivals[0]))
    sign = 1 if order.accepted.data.get("side") == "BUY" else -1
    return plain((sign * (Decimal(cast(str, average)) - arrival) / arrival * 10_000).quantize(Decimal("0.0001")))


def _of_blocks(name: str) -> Value:
    """Return what each of the order's blocks says of something, in their order."""

    def values(found: Orders, order: Order) -> JsonValue:
        formed = [found.formed[block] for block in order.blocks if block in found.formed]
        return [cast(JsonValue, fact.data[name]) for fact in formed if fact.data.get(name) is not None]

    return values


BEST_EXECUTION = OrderReport(
    name="best-execution",
    title="Where each order went, what was known then, and what came of it",
    citation=f"{_RULE}: how the best market was found out, and what the result was",
    columns=columns(
        ("order_id", "the order", _RULE, lambda _, order: order.order_id),
        ("account", "the account", _RULE, about("account")),
        ("instrument", "the character of the market: what was traded", _RULE, about("instrument")),
        ("side", "buy or sell", _RULE, of_order("side")),
        ("quantity", "the size of the transaction", _RULE, of_order("quantity")),
        ("order_type", "the terms of the order", _RULE, of_order("order_type")),
        ("limit_price", "its limit", _RULE, of_order("limit_price")),
        ("decision_price", "the price that the decision saw", _RULE, of_order("decision_price")),
        ("order_time", "when it was received", _RULE, lambda _, order: told_time(order.accepted)),
        ("route_ids", "the blocks that it travelled in", _RULE, lambda _, order: list(order.blocks)),
        ("quotes", "accessibility of the quotation: price, source and age, block by block", _RULE, _of_blocks("quote")),
        (
            "candidates",
            "the markets checked: who could take it, at which expected cost, by which model and inputs",
            _RULE,
            _of_blocks("candidates"),
        ),
        ("reasons", "why it went where it went", _RULE, _of_blocks("venue_reason")),
        ("venue", "where it went", _RULE, of_order("venue_id")),
        ("algorithm", "how it was spread over time", _RULE, lambda a, o: a.block_data(o, "algorithm")),
        ("route_times", "when it was sent", _RULE, lambda a, o: times(a, o, "execution.block.sent")),
        ("executions", "the fills of its blocks: id, time, quantity, price", _RULE, executions),
        ("average_price", "the price it got", _RULE, average_price),
        ("arrival_price", "the price when it was sent", _RULE, lambda a, o: a.block_data(o, "arrival_price")),
        ("cost_bps", "what that cost against arrival", _RULE, _cost_bps),
        ("end_state", "how it ended", _RULE, lambda _, order: of_fact(order.closed, "state")),
    ),
)
