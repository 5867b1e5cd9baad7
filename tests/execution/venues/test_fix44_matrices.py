"""Matrices B.1.f, E.1.f, F.1 and G.1 of FIX 4.4, volume 7, appendix D: questions, and names that are taken or unknown.

They are about messages that change no order: what is heard of them is no report, and the order's state is read from the
reports before and after. Each row: the message, then how the order stands by what was reported so far, and how the
message itself says that it stands. Of F.1.a it is known by hearsay that the refusal has OrdStatus, OrderQty, CumQty and
LeavesQty of the first order, as in F.1.b (https://forum.fixtrading.org/t/duplicate-clordid-rejection-message/17059).
G.1 has been compared by its titles alone: its rows follow from the rules of a status report
(https://www.onixs.biz/fix-dictionary/5.0.sp2/app_d.html and the pages it leads to).
"""

from decimal import Decimal

import pytest

from services.execution.domain.order import OrderState, VenueOrder, fold, sending
from services.execution.venues.fix44.hearing import hear
from services.execution.venues.fix44.said import ChangeSaid
from tests.execution.venues.test_fix44_mapping import message_of

S = OrderState
NOTHING = (S.SENDING, 10000, 0, 10000)
NEW = (S.NEW, 10000, 0, 10000)
PART = (S.PARTIALLY_FILLED, 10000, 1000, 9000)
FILLED = (S.FILLED, 10000, 10000, 0)


def execution(kind, status, number, quantity=10000, filled=0, last=0, name="X", **fields):
    leaves = 0 if status in "48" else quantity - filled
    said = (
        f"8=FIX.4.4|35=8|37=o-1|11={name}|17={number}|150={kind}|39={status}|55=VTI|54=1|38={quantity}|14={filled}|"
        f"151={leaves}|6=10|60=20221228-17:00:00|"
    )
    said += f"32={last}|31=10|" if last else ""
    return message_of(said + "".join(f"{tag[1:]}={value}|" for tag, value in fields.items()))


def status(code, number, filled=0, **fields):
    return execution("I", code, number, filled=filled, _790="q", **fields)


MATRICES = {
    "E.1.f held until its condition is met": [
        (execution("0", "0", "e-1", _636="N"), NEW, NEW),
        # Triggered: ExecType <150> L since FIX 5.0.
        (execution("L", "0", "e-2", _636="Y"), NEW, NEW),
        (execution("F", "1", "e-3", filled=1000, last=1000), PART, PART),
        (execution("F", "2", "e-4", filled=10000, last=9000), FILLED, FILLED),
    ],
    "F.1.a a second order under a name that is taken": [
        (execution("0", "0", "e-1"), NEW, NEW),
        (execution("F", "1", "e-2", filled=1000, last=1000), PART, PART),
        (execution("8", "1", "e-3", filled=1000, _103=6), PART, PART),
    ],
    "F.1.b possible resend, then another order under the same name": [
        (execution("0", "0", "e-1"), NEW, NEW),
        (execution("I", "0", "0"), NEW, NEW),
        (execution("8", "0", "e-2", _103=6), NEW, NEW),
    ],
    "G.1.a status of an unknown order": [
        (status("8", "0", _103=5), NOTHING, None),
    ],
    "G.1.b nothing done": [
        (execution("0", "0", "e-1"), NEW, NEW),
        (status("0", "0", _58="Nothing done"), NEW, NEW),
    ],
    "G.1.c status asked at once, and again during the life of the order": [
        (status("A", "0"), NOTHING, (S.PENDING_NEW, 10000, 0, 10000)),
        (execution("0", "0", "e-1"), NEW, NEW),
        (status("0", "0"), NEW, NEW),
        (execution("F", "1", "e-2", filled=1000, last=1000), PART, PART),
        (status("1", "0", 1000), PART, PART),
        (execution("F", "2", "e-3", filled=10000, last=9000), FILLED, FILLED),
        (status("2", "0", 10000), FILLED, FILLED),
    ],
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_published_matrix_holds_row_by_row(name):
    reports = []
    for number, (message, stands, said) in enumerate(MATRICES[name], 1):
        heard = hear(message)
        if heard.report is not None:
            reports.append(heard.report)
        order = fold(sending(VenueOrder(Decimal(10000))), reports)

        assert (order.state, order.quantity, order.filled_quantity, order.leaves_quantity) == stands, f"row {number}"
        told = heard.standing
        assert (
            told if told is None else (told.state, told.quantity, told.filled_quantity, told.leaves_quantity)
        ) == said, f"row {number}"


def test_f_1_b_an_order_that_was_not_received_before_is_new():
    heard = hear(execution("0", "0", "e-3", quantity=15000, name="Y"))

    assert (heard.name, heard.standing.state, heard.standing.leaves_quantity) == ("Y", S.NEW, 15000)


def test_b_1_f_a_cancel_of_an_unknown_order_changes_none():
    heard = hear(message_of("8=FIX.4.4|35=9|37=NONE|11=Y|41=X|39=8|434=1|102=1|60=20221228-17:00:00|"))
    order = fold(sending(VenueOrder(Decimal(10000))), [heard.report])

    assert isinstance(heard, ChangeSaid)
    assert not heard.order_known
    assert (order.state, order.ended, order.leaves_quantity) == (S.SENDING, None, 10000)
