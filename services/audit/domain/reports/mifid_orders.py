"""Decisions to deal and orders, as MiFID II asks for them: Del. Reg. (EU) 2017/565, Annex IV, and RTS 6, 22 and 24."""

from services.audit.domain.reports.order_columns import (
    OrderReport,
    about,
    approver,
    average_price,
    columns,
    of_client,
    of_desk,
    of_fact,
    of_instrument,
    of_order,
    time_of,
    total,
)
from services.audit.domain.reports.orders import told_time
from services.kernel.decimals import plain

_ANNEX = "Del. Reg. (EU) 2017/565, Annex IV"
_RTS22 = "Del. Reg. (EU) 2017/590, Annex I (RTS 22)"
_RTS24 = "Del. Reg. (EU) 2017/580 (RTS 24)"
_RTS6 = "Del. Reg. (EU) 2017/589, Art. 28 (RTS 6)"

MIFID = OrderReport(
    name="mifid-orders",
    title="Decisions to deal and orders",
    citation=f"MiFID II Art. 16(6), 17(2); {_ANNEX}; {_RTS22}; {_RTS24}; {_RTS6}",
    columns=columns(
        ("order_id", "identification of the order", f"{_ANNEX} section 1; {_RTS24}", lambda _, order: order.order_id),
        ("client", "the client or account", f"{_ANNEX} section 1", about("account")),
        ("client_lei", "the client's LEI or national identifier", f"{_RTS22} field 7", of_client("identifier")),
        ("firm_lei", "the executing entity's LEI", f"{_RTS22} field 4", of_desk("firm_lei")),
        ("instrument", "our id of the instrument", f"{_ANNEX} section 1", about("instrument")),
        ("isin", "the instrument's ISIN", f"{_RTS22} field 41", of_instrument("isin")),
        ("side", "buy or sell", f"{_ANNEX} section 1", of_order("side")),
        ("quantity", "how much", f"{_ANNEX} section 1", of_order("quantity")),
        ("order_type", "type of the order", f"{_ANNEX} section 1", of_order("order_type")),
        ("limit_price", "limit price", f"{_ANNEX} section 1; {_RTS24}", of_order("limit_price")),
        ("time_in_force", "validity", f"{_RTS24}", of_order("time_in_force")),
        ("currency", "price currency", f"{_ANNEX} section 1", of_order("currency")),
        (
            "decision_time",
            "date and time of the decision",
            f"{_ANNEX} section 1",
            lambda _, o: time_of(o.decided),
        ),
        ("order_time", "date and time of the order", f"{_ANNEX} section 1", lambda _, order: told_time(order.accepted)),
        ("decision_maker", "who or which rule decided", f"{_RTS22} field 57; {_RTS6}", approver),
        (
            "decision_algorithm",
            "the algorithm that decided",
            f"{_RTS22} field 57; {_RTS6}",
            lambda _, o: of_fact(o.decided, "engine"),
        ),
        (
            "execution_algorithm",
            "the algorithm that executes",
            f"{_RTS22} field 59",
            of_desk("execution_algorithm"),
        ),
        ("policy_version", "the parameters in force", _RTS6, lambda _, order: of_fact(order.decided, "policy_hash")),
        ("reference_price", "the price that the decision saw", f"{_ANNEX} section 1", of_order("decision_price")),
        ("capacity", "in which capacity the firm trades", f"{_RTS22} field 29", of_desk("capacity")),
        (
            "discretionary",
            "whether the client gave a mandate",
            f"{_ANNEX} section 1",
            lambda _, order: order.discretionary,
        ),
        ("broker_lei", "to whom the order was given", f"{_ANNEX} section 1", of_desk("broker_lei")),
        ("venue", "the venue", f"{_RTS22} field 36", of_order("venue_id")),
        ("venue_mic", "the venue's MIC", f"{_RTS22} field 36", of_desk("venue_mic")),
        ("aggregated", "whether it may be aggregated", "Del. Reg. (EU) 2017/565, Art. 68", of_order("may_aggregate")),
        ("broker_order_ids", "ids of the orders at the venue", _RTS24, lambda a, o: a.block_data(o, "client_order_id")),
        ("venue_execution_ids", "ids of the executions", f"{_RTS22} field 3", lambda a, o: a.reports(o, "report_id")),
        ("executed_quantity", "how much was executed", f"{_RTS22} field 30", lambda _, o: plain(total(o, "quantity"))),
        ("average_price", "at which price", f"{_RTS22} field 33", average_price),
        (
            "net_amount",
            "what was paid or received",
            f"{_RTS22} field 35",
            lambda _, o: plain(total(o, "amount")) if o.allocations else None,
        ),
        ("modifications", "changes and cancellations", f"{_ANNEX} section 1", lambda a, o: a.changes(o)),
        ("end_state", "how it ended", f"{_ANNEX} section 1", lambda _, order: of_fact(order.closed, "state")),
        (
            "trace_id",
            "what ties decision and order together",
            _RTS6,
            lambda _, order: order.accepted.entry.event.trace_id,
        ),
    ),
)
