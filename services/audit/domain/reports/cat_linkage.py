"""The chain from order to route to fill to allocation, as the Consolidated Audit Trail links it: 17 CFR 242.613."""

from collections.abc import Mapping

from services.audit.domain.reports.base import Fact
from services.audit.domain.reports.order_columns import (
    OrderReport,
    about,
    columns,
    executions,
    of_desk,
    of_fact,
    of_order,
    time_of,
    times,
)
from services.audit.domain.reports.orders import told_time
from services.kernel.canonical import JsonValue

_RULE = "17 CFR 242.613(c)(7); FINRA 6830, 6860"


def _allocation(fact: Fact) -> Mapping[str, JsonValue]:
    return {
        "block": fact.about("block"),
        "quantity": fact.data["quantity"],
        "price": fact.data["price"],
        "time": told_time(fact),
    }


CAT = OrderReport(
    name="cat-linkage",
    title="The chain from order to route to fill to allocation",
    citation=f"{_RULE}: what a broker needs to link our orders",
    columns=columns(
        ("order_id", "the order", _RULE, lambda _, order: order.order_id),
        ("account", "the account", _RULE, about("account")),
        ("symbol", "the instrument", _RULE, about("instrument")),
        ("side", "buy or sell", _RULE, of_order("side")),
        ("quantity", "how much", _RULE, of_order("quantity")),
        ("order_type", "the type of the order", _RULE, of_order("order_type")),
        ("limit_price", "its limit", _RULE, of_order("limit_price")),
        ("time_in_force", "how long it lives", _RULE, of_order("time_in_force")),
        ("receive_time", "when it was received", _RULE, lambda _, order: told_time(order.accepted)),
        ("route_ids", "the blocks that it is part of", _RULE, lambda _, order: list(order.blocks)),
        ("broker_order_ids", "their ids at the venue", _RULE, lambda a, o: a.block_data(o, "client_order_id")),
        ("routed_by", "the firm that routes", _RULE, of_desk("firm_lei")),
        ("routed_to", "the broker that receives", _RULE, of_desk("broker_lei")),
        ("capacity", "in which the firm acts", _RULE, of_desk("capacity")),
        ("custodian", "where allocations settle", _RULE, of_order("custodian")),
        ("modifications", "changes and cancellations, with who asked for them", _RULE, lambda a, o: a.changes(o)),
        ("executions", "the fills of its blocks: id, time, quantity, price", _RULE, executions),
        ("route_times", "when they were sent", _RULE, lambda a, o: times(a, o, "execution.block.sent")),
        ("venue", "where to", _RULE, of_order("venue_id")),
        ("venue_execution_ids", "the venue's ids of the fills", _RULE, lambda a, o: a.reports(o, "report_id")),
        (
            "allocations",
            "allocated quantity, price and time",
            _RULE,
            lambda _, o: [_allocation(f) for f in o.allocations],
        ),
        ("end_state", "how it ended", _RULE, lambda _, order: of_fact(order.closed, "state")),
        ("end_time", "when it ended", _RULE, lambda _, order: time_of(order.closed)),
    ),
)
