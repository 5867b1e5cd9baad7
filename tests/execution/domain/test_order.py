"""The order-state-change matrices of FIX 4.4, volume 7, appendix D, and what holds for any sequence of reports.

The rows are those published, but for three slips: E.1.a and E.1.c print a LeavesQty of 0 for a new order (E.1.c only
until FIX 4.2), and the second PendingReplace of D.2.b prints the quantity of a replace that is not accepted yet; by the
appendix's own rules LeavesQty is OrderQty less CumQty, and a pending change carries the order as it was.
D.2.a and D.2.c have been compared by their titles alone: their rows follow from the appendix's rules and the matrices
beside them (https://www.onixs.biz/fix-dictionary/5.0.sp2/app_d.html and the pages it leads to).
What is said about questions and refused names (B.1.f, F.1.a-c, G.1.a-c) is in `venues/test_fix44_matrices.py`.
"""

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.order import (
    Accepted,
    Canceled,
    CancelPending,
    ChangeRefused,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    OrderState,
    Paused,
    PendingNew,
    Refused,
    Replaced,
    ReplacePending,
    Restated,
    VenueOrder,
    after,
    fold,
    not_at_venue,
    outcome_unknown,
    sending,
)

S = OrderState
ids = iter(f"e{number}" for number in range(10**9))


def new():
    return Accepted(next(ids))


def trade(quantity, price=10, report_id=None):
    return Filled(report_id or next(ids), Decimal(quantity), Decimal(price))


def correct(fill_id, quantity, price=10, report_id=None):
    return FillCorrected(report_id or next(ids), fill_id, Decimal(quantity), Decimal(price))


def bust(fill_id):
    return FillBusted(next(ids), fill_id)


def cancel_pending(request="Y"):
    return CancelPending(next(ids), request)


def replace_pending(request="Y"):
    return ReplacePending(next(ids), request)


def replaced(quantity, request="Y"):
    return Replaced(next(ids), request, Decimal(quantity))


def change_refused(request="Y"):
    return ChangeRefused(next(ids), request)


def canceled():
    return Canceled(next(ids))


def paused(state):
    return Paused(next(ids), state)


def restated(**fields):
    return Restated(next(ids), **fields)


# Each row: what the venue reports, then state, order quantity, filled and leaves quantity after it.
MATRICES = {
    "A.1.a filled": [
        (PendingNew("p"), S.PENDING_NEW, 10000, 0, 10000),
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 3000, 7000),
        (trade(7000), S.FILLED, 10000, 10000, 0),
    ],
    "A.1.b partly filled, done for day": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 3000, 7000),
        (paused(S.DONE_FOR_DAY), S.DONE_FOR_DAY, 10000, 3000, 0),
    ],
    "B.1.a cancel of a zero-filled order": [
        (new(), S.NEW, 10000, 0, 10000),
        (cancel_pending(), S.PENDING_CANCEL, 10000, 0, 10000),
        (canceled(), S.CANCELED, 10000, 0, 0),
    ],
    "B.1.a cancel refused": [
        (new(), S.NEW, 10000, 0, 10000),
        (cancel_pending(), S.PENDING_CANCEL, 10000, 0, 10000),
        (change_refused(), S.NEW, 10000, 0, 10000),
    ],
    "B.1.b fills while the cancel is active": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (trade(3000), S.PARTIALLY_FILLED, 10000, 5000, 5000),
        (cancel_pending(), S.PENDING_CANCEL, 10000, 5000, 5000),
        (trade(1000), S.PENDING_CANCEL, 10000, 6000, 4000),
        (canceled(), S.CANCELED, 10000, 6000, 0),
    ],
    "B.1.c filled before the cancel is accepted": [
        (new(), S.NEW, 10000, 0, 10000),
        (cancel_pending(), S.PENDING_CANCEL, 10000, 0, 10000),
        (trade(2000), S.PENDING_CANCEL, 10000, 2000, 8000),
        (trade(8000), S.PENDING_CANCEL, 10000, 10000, 0),
        (change_refused(), S.FILLED, 10000, 10000, 0),
    ],
    "B.1.d canceled before it was acknowledged": [
        (cancel_pending(), S.PENDING_CANCEL, 10000, 0, 10000),
        (canceled(), S.CANCELED, 10000, 0, 0),
    ],
    "B.1.e acknowledgement and cancel cross": [
        (new(), S.NEW, 10000, 0, 10000),
        (cancel_pending(), S.PENDING_CANCEL, 10000, 0, 10000),
        (canceled(), S.CANCELED, 10000, 0, 0),
    ],
    "C.1.a zero-filled order increased": [
        (new(), S.NEW, 10000, 0, 10000),
        (replace_pending(), S.PENDING_REPLACE, 10000, 0, 10000),
        (replaced(11000), S.NEW, 11000, 0, 11000),
        (trade(1000), S.PARTIALLY_FILLED, 11000, 1000, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 11000, 3000, 8000),
    ],
    "C.1.b partly filled order increased, fill while pending": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending(), S.PENDING_REPLACE, 10000, 1000, 9000),
        (trade(100), S.PENDING_REPLACE, 10000, 1100, 8900),
        (replaced(12000), S.PARTIALLY_FILLED, 12000, 1100, 10900),
        (trade(10900), S.FILLED, 12000, 12000, 0),
    ],
    "C.1.c filled order increased: it opens again": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(10000), S.FILLED, 10000, 10000, 0),
        (replace_pending(), S.PENDING_REPLACE, 10000, 10000, 0),
        (replaced(12000), S.PARTIALLY_FILLED, 12000, 10000, 2000),
        (trade(2000), S.FILLED, 12000, 12000, 0),
    ],
    "C.2.a change of price refused, it was filled": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (trade(9000), S.FILLED, 10000, 10000, 0),
        (change_refused(), S.FILLED, 10000, 10000, 0),
    ],
    "C.3.a decreased above what is filled": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (trade(500), S.PARTIALLY_FILLED, 10000, 1500, 8500),
        (replace_pending(), S.PENDING_REPLACE, 10000, 1500, 8500),
        (trade(100), S.PENDING_REPLACE, 10000, 1600, 8400),
        (replaced(8000), S.PARTIALLY_FILLED, 8000, 1600, 6400),
        (trade(6400), S.FILLED, 8000, 8000, 0),
    ],
    "C.3.b decreased to what is filled": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(7000), S.PARTIALLY_FILLED, 10000, 7000, 3000),
        (replaced(7000), S.FILLED, 7000, 7000, 0),
    ],
    "C.3.c decreased below what is filled": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(8000), S.PARTIALLY_FILLED, 10000, 8000, 2000),
        (replaced(7000), S.FILLED, 8000, 8000, 0),
    ],
    "D.1.a two replaces one after the other": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending("Y"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (trade(500), S.PENDING_REPLACE, 10000, 1500, 8500),
        (replaced(8000, "Y"), S.PARTIALLY_FILLED, 8000, 1500, 6500),
        (trade(2000), S.PARTIALLY_FILLED, 8000, 3500, 4500),
        (replace_pending("Z"), S.PENDING_REPLACE, 8000, 3500, 4500),
        (replaced(6000, "Z"), S.PARTIALLY_FILLED, 6000, 3500, 2500),
        (trade(2500), S.FILLED, 6000, 6000, 0),
    ],
    "D.1.a two replaces one after the other, a fill in the second": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending("Y"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (trade(500), S.PENDING_REPLACE, 10000, 1500, 8500),
        (replaced(8000, "Y"), S.PARTIALLY_FILLED, 8000, 1500, 6500),
        (trade(2000), S.PARTIALLY_FILLED, 8000, 3500, 4500),
        (replace_pending("Z"), S.PENDING_REPLACE, 8000, 3500, 4500),
        (trade(500), S.PENDING_REPLACE, 8000, 4000, 4000),
        (replaced(6000, "Z"), S.PARTIALLY_FILLED, 6000, 4000, 2000),
        (trade(2000), S.FILLED, 6000, 6000, 0),
    ],
    "D.1.b first replace refused before it was pending, second accepted": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (change_refused("Y"), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (trade(500), S.PARTIALLY_FILLED, 10000, 1500, 8500),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 3500, 6500),
        (replace_pending("Z"), S.PENDING_REPLACE, 10000, 3500, 6500),
        (replaced(6000, "Z"), S.PARTIALLY_FILLED, 6000, 3500, 2500),
        (trade(1500), S.PARTIALLY_FILLED, 6000, 5000, 1000),
    ],
    "D.1.c first replace refused when pending, second accepted": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending("Y"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (trade(500), S.PENDING_REPLACE, 10000, 1500, 8500),
        (change_refused("Y"), S.PARTIALLY_FILLED, 10000, 1500, 8500),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 3500, 6500),
        (replace_pending("Z"), S.PENDING_REPLACE, 10000, 3500, 6500),
        (replaced(6000, "Z"), S.PARTIALLY_FILLED, 6000, 3500, 2500),
        (trade(1500), S.PARTIALLY_FILLED, 6000, 5000, 1000),
    ],
    "D.1.c both replaces refused when pending": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending("Y"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (trade(500), S.PENDING_REPLACE, 10000, 1500, 8500),
        (change_refused("Y"), S.PARTIALLY_FILLED, 10000, 1500, 8500),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 3500, 6500),
        (replace_pending("Z"), S.PENDING_REPLACE, 10000, 3500, 6500),
        (change_refused("Z"), S.PARTIALLY_FILLED, 10000, 3500, 6500),
    ],
    "D.2.a two replaces at once, one after the other": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending("Y"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (replaced(8000, "Y"), S.PARTIALLY_FILLED, 8000, 1000, 7000),
        (replace_pending("Z"), S.PENDING_REPLACE, 8000, 1000, 7000),
        (replaced(7000, "Z"), S.PARTIALLY_FILLED, 7000, 1000, 6000),
        (trade(6000), S.FILLED, 7000, 7000, 0),
    ],
    "D.2.b two replaces at once, both pending before the first is accepted": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending("Y"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (replace_pending("Z"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (replaced(8000, "Y"), S.PENDING_REPLACE, 8000, 1000, 7000),
        (replaced(7000, "Z"), S.PARTIALLY_FILLED, 7000, 1000, 6000),
        (trade(6000), S.FILLED, 7000, 7000, 0),
    ],
    "D.2.c two replaces at once, both refused": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (change_refused("Y"), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (change_refused("Z"), S.PARTIALLY_FILLED, 10000, 1000, 9000),
    ],
    "D.2.d second replace refused while the first is pending": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (replace_pending("Y"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (change_refused("Z"), S.PENDING_REPLACE, 10000, 1000, 9000),
        (replaced(8000, "Y"), S.PARTIALLY_FILLED, 8000, 1000, 7000),
        (trade(2000), S.PARTIALLY_FILLED, 8000, 3000, 5000),
    ],
    "E.1.a telephoned order": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 3000, 7000),
        (trade(7000), S.FILLED, 10000, 10000, 0),
    ],
    "E.1.b unsolicited cancel": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (canceled(), S.CANCELED, 10000, 1000, 0),
    ],
    "E.1.c unsolicited replacement": [
        (new(), S.NEW, 10000, 0, 10000),
        (restated(quantity=Decimal(11000)), S.NEW, 11000, 0, 11000),
        (trade(1000), S.PARTIALLY_FILLED, 11000, 1000, 10000),
        (restated(quantity=Decimal(12000)), S.PARTIALLY_FILLED, 12000, 1000, 11000),
    ],
    "E.1.d unsolicited reduction": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (restated(quantity=Decimal(9000)), S.PARTIALLY_FILLED, 9000, 1000, 8000),
        (trade(8000), S.FILLED, 9000, 9000, 0),
    ],
    "E.1.e canceled because it is not best": [
        (new(), S.NEW, 10000, 0, 10000),
        (canceled(), S.CANCELED, 10000, 0, 0),
    ],
    "E.1.f held until its condition is met": [
        # The second says that it is in the book now: WorkingIndicator <636> Y.
        (new(), S.NEW, 10000, 0, 10000),
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (trade(8000), S.FILLED, 10000, 10000, 0),
    ],
    "E.1.f held, and refused when it came": [
        (Refused("r", "not here"), S.REJECTED, 10000, 0, 0),
    ],
    "F.1.c refused, because it was passed on by telephone": [
        (Refused("r", "duplicate of a verbal order"), S.REJECTED, 10000, 0, 0),
    ],
    "H.1.a good till canceled, two days": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (paused(S.DONE_FOR_DAY), S.DONE_FOR_DAY, 10000, 2000, 0),
        (restated(), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 3000, 7000),
    ],
    "H.1.b two for one split": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (paused(S.DONE_FOR_DAY), S.DONE_FOR_DAY, 10000, 2000, 0),
        (restated(split_to=2), S.PARTIALLY_FILLED, 20000, 4000, 16000),
        (trade(5000, 5), S.PARTIALLY_FILLED, 20000, 9000, 11000),
        (trade(11000, 5), S.FILLED, 20000, 20000, 0),
    ],
    "H.1.c restated and canceled the next day": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (paused(S.DONE_FOR_DAY), S.DONE_FOR_DAY, 10000, 2000, 0),
        (restated(), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (cancel_pending(), S.PENDING_CANCEL, 10000, 2000, 8000),
        (canceled(), S.CANCELED, 10000, 2000, 0),
    ],
    "H.1.d restated and increased the next day": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (paused(S.DONE_FOR_DAY), S.DONE_FOR_DAY, 10000, 2000, 0),
        (restated(), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (replace_pending(), S.PENDING_REPLACE, 10000, 2000, 8000),
        (trade(1000), S.PENDING_REPLACE, 10000, 3000, 7000),
        (replaced(15000), S.PARTIALLY_FILLED, 15000, 3000, 12000),
    ],
    "I.1.a fill or kill, killed": [
        (new(), S.NEW, 10000, 0, 10000),
        (canceled(), S.CANCELED, 10000, 0, 0),
    ],
    "I.1.b immediate or cancel": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (canceled(), S.CANCELED, 10000, 1000, 0),
    ],
    "J.1.a filled, then corrected and busted, then increased": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000, 100, "C"), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (trade(9000, 110, "D"), S.FILLED, 10000, 10000, 0),
        (bust("C"), S.PARTIALLY_FILLED, 10000, 9000, 1000),
        (correct("D", 9000, 100, "F"), S.PARTIALLY_FILLED, 10000, 9000, 1000),
        (trade(1000, 120, "G"), S.FILLED, 10000, 10000, 0),
        (correct("F", 9000, 120, "H"), S.FILLED, 10000, 10000, 0),
        (replace_pending(), S.PENDING_REPLACE, 10000, 10000, 0),
        (replaced(12000), S.PARTIALLY_FILLED, 12000, 10000, 2000),
        (correct("H", 9500, 120, "K"), S.PARTIALLY_FILLED, 12000, 10500, 1500),
    ],
    "J.1.b canceled, then busted, then a fill": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(5000, 50, "B"), S.PARTIALLY_FILLED, 10000, 5000, 5000),
        (cancel_pending(), S.PENDING_CANCEL, 10000, 5000, 5000),
        (canceled(), S.CANCELED, 10000, 5000, 0),
        (bust("B"), S.CANCELED, 10000, 0, 0),
        (trade(4000, 51), S.CANCELED, 10000, 4000, 0),
    ],
    "J.1.c corrections of fills of two days": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(2000, 10, "B"), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (paused(S.DONE_FOR_DAY), S.DONE_FOR_DAY, 10000, 2000, 0),
        (restated(), S.PARTIALLY_FILLED, 10000, 2000, 8000),
        (trade(1000, 10, "E"), S.PARTIALLY_FILLED, 10000, 3000, 7000),
        (correct("B", 1500), S.PARTIALLY_FILLED, 10000, 2500, 7500),
        (correct("E", 500), S.PARTIALLY_FILLED, 10000, 2000, 8000),
    ],
    "K.1.a halted and reinstated": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (paused(S.SUSPENDED), S.SUSPENDED, 10000, 1000, 0),
        (restated(), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (trade(9000), S.FILLED, 10000, 10000, 0),
    ],
    "K.1.b halted and canceled": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (paused(S.SUSPENDED), S.SUSPENDED, 10000, 1000, 0),
        (canceled(), S.CANCELED, 10000, 1000, 0),
    ],
    "expired": [
        (new(), S.NEW, 10000, 0, 10000),
        (trade(1000), S.PARTIALLY_FILLED, 10000, 1000, 9000),
        (Expired("x"), S.EXPIRED, 10000, 1000, 0),
    ],
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_published_matrix_holds_row_by_row(name):
    order = sending(VenueOrder(Decimal(10000)))

    for number, (report, state, quantity, filled, leaves) in enumerate(MATRICES[name], 1):
        order = after(order, report)
        assert (order.state, order.quantity, order.filled_quantity, order.leaves_quantity) == (
            state,
            quantity,
            filled,
            leaves,
        ), f"row {number}"


def test_the_average_price_follows_corrections_and_busts():
    order = VenueOrder(Decimal(10000))
    averages = []
    for report, *_ in MATRICES["J.1.a filled, then corrected and busted, then increased"]:
        order = after(order, report)
        averages.append(order.average_price)

    assert averages == [None, 100, 109, 110, 100, 102, 120, 120, 120, 120]


def test_a_resent_report_changes_nothing():
    once = fold(VenueOrder(Decimal(100)), [new(), trade(10, report_id="same")])

    assert after(once, trade(10, report_id="same")) == once


def test_a_fill_may_come_before_the_acknowledgement():
    order = fold(sending(VenueOrder(Decimal(100))), [trade(10), new()])

    assert (order.state, order.leaves_quantity) == (S.PARTIALLY_FILLED, 90)


def test_a_correction_may_come_before_what_it_corrects():
    order = fold(VenueOrder(Decimal(100)), [correct("first", 7), trade(10, report_id="first")])

    assert order.filled_quantity == 7


def test_a_lost_answer_is_a_state_until_the_venue_speaks():
    order = outcome_unknown(sending(VenueOrder(Decimal(100))))

    assert order.state is S.UNKNOWN
    assert not_at_venue(order).state is S.PENDING
    assert after(order, new()).state is S.NEW
    with pytest.raises(ValueError, match="denies"):
        not_at_venue(after(order, new()))


def test_more_filled_than_ordered_is_shown():
    order = fold(VenueOrder(Decimal(100)), [trade(60), trade(60)])

    assert (order.state, order.leaves_quantity, order.overfilled_quantity) == (S.FILLED, 0, 20)


# What a venue may say about fills and the end of an order, in any order, any number of times.
def _history(rng):
    reports, live = [new()], {}
    for number in range(rng.randint(1, 8)):
        fill_id = f"f{number}"
        quantity, price = rng.randint(1, 10), rng.randint(90, 110)
        reports.append(trade(quantity, price, fill_id))
        live[fill_id] = (quantity, price)
        fate = rng.random()
        if fate < 0.2:
            reports.append(bust(fill_id))
            del live[fill_id]
        elif fate < 0.4:
            corrected = f"c{number}"
            reports.append(correct(fill_id, quantity + 1, price + 1, corrected))
            del live[fill_id]
            live[corrected] = (quantity + 1, price + 1)
    if rng.random() < 0.5:
        reports.append(canceled())
    return reports, live


def interleave(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        reports, live = _history(rng)
        said = reports + rng.choices(reports, k=rng.randint(0, 3))
        rng.shuffle(said)
        order = fold(sending(VenueOrder(Decimal(100))), said)

        assert order.filled_quantity == sum(quantity for quantity, _ in live.values())
        assert order.gross_amount == sum(quantity * price for quantity, price in live.values())
        ended = any(isinstance(report, Canceled) for report in reports)
        assert order.leaves_quantity == (0 if ended else 100 - order.filled_quantity)
        assert order.state in {S.CANCELED, S.FILLED} if ended else {S.NEW, S.PARTIALLY_FILLED, S.FILLED}


def test_ten_thousand_interleavings_end_consistent():
    interleave(10_000, 20260101)


@pytest.mark.chaos
def test_a_hundred_thousand_interleavings_end_consistent():
    interleave(100_000, 20261128)
    print("\n100000 interleavings of reports ended consistent")  # noqa: T201 - counts


@given(st.lists(st.sampled_from([row[0] for rows in MATRICES.values() for row in rows]), max_size=30))
def test_no_sequence_of_reports_breaks_the_fold(reports):
    order = fold(VenueOrder(Decimal(10000)), reports)

    assert 0 <= order.leaves_quantity <= order.quantity
    assert order.filled_quantity >= 0
    if order.average_price is not None:
        assert abs(order.average_price * order.filled_quantity - order.gross_amount) < Decimal("0.01")


@pytest.mark.parametrize(
    ("report", "state"),
    [(Accepted("r-1"), OrderState.NEW), (Refused("r-1"), OrderState.REJECTED)],
    ids=["accepted", "refused"],
)
def test_what_the_venue_says_counts_more_than_that_it_has_the_order(report, state):
    received = VenueOrder(Decimal(10), ours=OrderState.PENDING_NEW)

    assert fold(received, [report]).state is state
