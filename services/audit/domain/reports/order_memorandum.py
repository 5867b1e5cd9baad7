"""The memorandum of each order that an adviser keeps: SEC Rule 204-2(a)(3), 17 CFR 275.204-2(a)(3)."""

from services.audit.domain.reports.order_columns import (
    OrderReport,
    about,
    actor_of,
    approver,
    average_price,
    columns,
    crossed_quantity,
    of_fact,
    of_order,
    total,
)
from services.audit.domain.reports.orders import told_time
from services.kernel.decimals import plain

_RULE = "17 CFR 275.204-2(a)(3)"

MEMORANDUM = OrderReport(
    name="order-memorandum",
    title="Memorandum of each order",
    citation=f"{_RULE}: a memorandum of each order given, of any instruction, and of any modification or cancellation",
    columns=columns(
        ("order_id", "the order", _RULE, lambda _, order: order.order_id),
        ("account", "the account for which it was entered", _RULE, about("account")),
        ("instrument", "what was to be bought or sold", _RULE, about("instrument")),
        ("side", "buy or sell", _RULE, of_order("side")),
        ("quantity", "how much", _RULE, of_order("quantity")),
        ("order_type", "at which price it may be filled", _RULE, of_order("order_type")),
        ("limit_price", "its limit, when it has one", _RULE, of_order("limit_price")),
        ("time_in_force", "how long it lives", _RULE, of_order("time_in_force")),
        ("currency", "of its price", _RULE, of_order("currency")),
        ("entry_time", "the date of entry", _RULE, lambda _, order: told_time(order.accepted)),
        ("modifications", "modifications and cancellations", _RULE, lambda all_, order: all_.changes(order)),
        (
            "recommended_by",
            "who recommended it: what decided the plan",
            _RULE,
            lambda _, order: of_fact(order.decided, "engine"),
        ),
        ("run_started_by", "who had the plan decided", _RULE, lambda _, order: actor_of(order.started)),
        ("approved_by", "who or which rule approved the plan", _RULE, approver),
        ("placed_by", "who placed the order", _RULE, lambda _, order: actor_of(order.accepted)),
        ("broker", "through whom it was executed", _RULE, of_order("venue_id")),
        ("bank", "the custodian of the account", _RULE, of_order("custodian")),
        ("discretionary", "whether it was entered by discretionary power", _RULE, lambda _, order: order.discretionary),
        ("executed_quantity", "how much was executed", _RULE, lambda _, order: plain(total(order, "quantity"))),
        ("crossed_quantity", "how much of that with other clients, through no broker", _RULE, crossed_quantity),
        ("average_price", "at which average price", _RULE, average_price),
        ("end_state", "how it ended", _RULE, lambda _, order: of_fact(order.closed, "state")),
    ),
)
