"""Orders and reports as FIX messages, and back: the same meaning, and every message valid by the dictionary."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.app.venue_port import (
    AllocationInstruction,
    AllocationShare,
    InstructionState,
    InstructionView,
    Intent,
)
from services.execution.domain.order import (
    Accepted,
    Canceled,
    CancelPending,
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
)
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.fix.protocol.codec import decode, encode, flatten
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.message import FieldInvalid
from services.execution.fix.protocol.validation import validate
from services.execution.venues.fix44 import asking, telling
from services.execution.venues.fix44.asked import (
    AllocationAsked,
    ChangeAsked,
    MassStatusAsked,
    OrdersAsked,
    StatusAsked,
    asked,
)
from services.execution.venues.fix44.hearing import hear, named
from services.execution.venues.fix44.said import ListSaid, RequestRefused

DICTIONARY = fix_4_4()
AT = datetime(2022, 12, 28, 17, 0, 0, 123000, UTC)
AMOUNTS = st.decimals("0.0001", "9999999", places=4)


def sent(outgoing):
    """Return an outgoing message as its receiver gets it; it is valid."""
    header = [(35, outgoing.msg_type.encode()), (34, b"2"), (49, b"US"), (52, b"20221228-17:00:00.123"), (56, b"THEM")]
    message = decode(encode(b"FIX.4.4", header + flatten(outgoing.body), DICTIONARY.data_tags), DICTIONARY.data_tags)
    assert validate(message, DICTIONARY) is None
    return message


def an_intent(**fields):
    values = {
        "client_order_id": "c-1",
        "instrument_id": "VTI",
        "side": Side.BUY,
        "quantity": Decimal(10),
        "increment": Decimal(1),
        "order_type": OrderType.MARKET,
        "limit_price": None,
        "time_in_force": TimeInForce.DAY,
        "currency": "USD",
    }
    return Intent(**(values | fields))


@st.composite
def intents(draw):
    limit = draw(st.none() | AMOUNTS)
    quantity = draw(AMOUNTS)
    return an_intent(
        client_order_id=draw(st.text("abc-:019", min_size=1, max_size=40)),
        side=draw(st.sampled_from(Side)),
        quantity=quantity,
        increment=Decimal("0.0001"),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        limit_price=limit,
        time_in_force=draw(st.sampled_from(TimeInForce)),
        currency=draw(st.sampled_from(("USD", "EUR"))),
    )


def as_received(intent):
    """FIX names no increment: whoever receives an order takes the finest digit of its quantity for one."""
    return replace(intent, increment=Decimal(1).scaleb(min(intent.quantity.normalize().as_tuple().exponent, 0)))


@given(intents())
def test_an_order_arrives_as_it_was_meant(intent):
    received = asked(sent(asking.new_order(intent, AT)))

    assert received == OrdersAsked((as_received(intent),))
    assert received.intents[0].increment % intent.increment == 0


@given(st.lists(intents(), min_size=1, max_size=5))
def test_a_list_arrives_as_it_was_meant(several):
    meant = tuple(as_received(each) for each in several)

    assert asked(sent(asking.new_list("l-1", several, AT, "omnibus"))) == OrdersAsked(meant, "l-1")


def test_changes_and_questions_arrive_as_they_were_meant():
    intent = an_intent(order_type=OrderType.LIMIT, limit_price=Decimal("99.5"))

    assert asked(sent(asking.cancel_order(intent, "r-1", "c-1", AT))) == ChangeAsked("r-1", "c-1")
    assert asked(sent(asking.replace_order(intent, "r-2", "r-1", Decimal(20), None, AT))) == ChangeAsked(
        "r-2", "r-1", Decimal(20), Decimal("99.5")
    )
    assert asked(sent(asking.order_status(intent, "q-1", "r-2"))) == StatusAsked("r-2", "q-1", "VTI", "1")
    assert asked(sent(asking.mass_status("q-2"))) == MassStatusAsked("q-2")


def an_instruction(**fields):
    values = {
        "allocation_id": "a-1",
        "replaces": None,
        "client_order_id": "c-1",
        "instrument_id": "VTI",
        "side": Side.SELL,
        "currency": "USD",
        "quantity": Decimal(10),
        "average_price": Decimal("100.0025"),
        "trade_date": date(2022, 12, 28),
        "settlement_date": date(2022, 12, 29),
        "shares": (
            AllocationShare("acc-1", Decimal(4), Decimal("0.04")),
            AllocationShare("acc-2", Decimal(6), Decimal("0.06")),
        ),
    }
    return AllocationInstruction(**(values | fields))


@pytest.mark.parametrize(
    "instruction",
    [
        an_instruction(),
        an_instruction(allocation_id="a-2", replaces="a-1"),
        an_instruction(allocation_id="a-3", replaces="a-2", quantity=Decimal(0), shares=()),
    ],
)
def test_an_allocation_arrives_as_it_was_meant(instruction):
    assert asked(sent(asking.allocation(instruction, "c-1", AT))) == AllocationAsked(instruction)


def test_what_became_of_an_allocation_is_heard():
    ack = telling.allocation_ack(an_instruction(), InstructionView(InstructionState.REJECTED, "why not"), AT)
    assert hear(sent(ack)).view == InstructionView(InstructionState.REJECTED, "why not")

    report = telling.allocation_report(an_instruction(), AT)
    assert hear(sent(report)).view == InstructionView(InstructionState.ACCEPTED)


START = VenueOrder(Decimal(10), Decimal("99.5"), ours=OrderState.PENDING_NEW)
FILL = Filled("e-1", Decimal(4), Decimal("100.0025"), Decimal("0.04"))
REPORTS = [
    PendingNew("e-2"),
    Accepted("e-2"),
    Refused("e-2", "no such account"),
    Filled("e-2", Decimal("0.5"), Decimal("99.1234"), Decimal("0.10")),
    FillCorrected("e-2", "e-1", Decimal(3), Decimal("100.5"), Decimal(0)),
    FillBusted("e-2", "e-1"),
    CancelPending("e-2", "r-1"),
    Canceled("e-2"),
    ReplacePending("e-2", "r-1"),
    Replaced("e-2", "r-1", Decimal(20), Decimal("98.5")),
    Paused("e-2", OrderState.DONE_FOR_DAY),
    Paused("e-2", OrderState.SUSPENDED),
    Paused("e-2", OrderState.STOPPED),
    Paused("e-2", OrderState.CALCULATED),
    Restated("e-2", Decimal(10), Decimal("99.5")),
    Expired("e-2"),
]


def told(order, name="r-1", original="c-1"):
    intent = an_intent(order_type=OrderType.LIMIT, limit_price=order.limit_price)
    return telling.Told(intent, order, "B-1", name, original)


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: f"{type(report).__name__}")
def test_a_report_is_heard_as_it_was_told(report):
    order = after(after(START, FILL), report)
    heard = hear(sent(telling.execution_report(told(order), report, AT)))

    assert heard.report == report
    assert (heard.name, heard.original_name, heard.order_id) == ("r-1", "c-1", "B-1")
    assert heard.time == AT
    standing = heard.standing
    assert (standing.state, standing.filled_quantity, standing.leaves_quantity) == (
        order.state,
        order.filled_quantity,
        order.leaves_quantity,
    )


def test_a_drop_copy_says_that_it_is_one():
    assert hear(sent(telling.execution_report(told(after(START, FILL)), FILL, AT, copy=True))).drop_copy
    assert not hear(sent(telling.execution_report(told(after(START, FILL)), FILL, AT))).drop_copy


def test_how_an_order_stands_is_heard_with_the_question_it_answers():
    order = after(START, FILL)
    one = hear(sent(telling.order_standing(told(order), "s-1", AT, status="q-1")))
    assert (one.report, one.status_request, one.standing.fees, one.standing.open) == (
        None,
        "q-1",
        Decimal("0.04"),
        True,
    )
    many = hear(sent(telling.order_standing(told(order), "s-2", AT, mass=("q-2", 2, True))))
    assert (many.mass_request, many.last) == ("q-2", True)


def test_an_order_that_the_broker_does_not_know_has_no_standing():
    asked_for = StatusAsked("c-9", "q-1", "VTI", "1")
    unknown = hear(sent(telling.order_unknown(asked_for, "s-1", AT)))
    assert (unknown.name, unknown.standing, unknown.status_request) == ("c-9", None, "q-1")
    nothing = hear(sent(telling.no_orders("q-2", "s-2", AT)))
    assert (nothing.standing, nothing.mass_request, nothing.last) == (None, "q-2", True)


def test_a_refusal_of_a_name_that_is_taken_refuses_no_order():
    assert hear(sent(telling.order_refused(an_intent(), "e-1", "6", "duplicate", AT))).report is None
    assert hear(sent(telling.order_refused(an_intent(), "e-1", "1", "no symbol", AT))).report == Refused(
        "e-1", "no symbol"
    )


def test_a_refused_change_is_heard_once_for_each_request():
    refused = telling.change_refused(told(START), "r-1", "c-1", replace=False, reason="0", why="too late")
    heard = hear(sent(refused))

    assert (heard.request_id, heard.original_name, heard.order_known) == ("r-1", "c-1", True)
    assert heard.report.why == "too late"
    unknown = telling.change_refused(None, "r-1", "c-1", replace=True, reason="1", why="unknown order")
    assert not hear(sent(unknown)).order_known


def test_a_list_status_says_which_orders_were_taken():
    several = [an_intent(client_order_id=f"c-{number}") for number in range(3)]
    heard = hear(sent(telling.list_status("l-1", several, {"c-1": "no market"})))

    assert heard == ListSaid("l-1", ("c-0", "c-2"), (("c-1", "no market"),))


def message_of(text):
    frame = text.replace("|", "\x01").encode()
    return decode(frame, DICTIONARY.data_tags)


def test_commissions_and_fees_of_every_kind_are_one_fee():
    text = "8=FIX.4.4|35=8|11=c-1|17=e|150=F|39=1|32=100|31=50|60=20221228-17:00:00|14=100|151=0|6=50|"

    assert hear(message_of(text + "12=3.5|13=3|")).report.fee == Decimal("3.5")
    assert hear(message_of(text + "12=0.01|13=1|")).report.fee == 1
    assert hear(message_of(text + "12=0.1|13=2|")).report.fee == 5
    fees = "12=1|13=3|136=2|137=0.25|138=USD|139=4|137=2|138=USD|139=7|891=2|"
    assert hear(message_of(text + fees)).report.fee == Decimal("101.25")


def test_trades_in_the_way_of_fix_42_are_trades():
    for kind in "12":
        text = f"8=FIX.4.4|35=8|11=c|17=e|150={kind}|39=1|32=1|31=2|52=20221228-17:00:00|14=1|151=0|6=2|"
        assert hear(message_of(text)).report == Filled("e", Decimal(1), Decimal(2))


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("8=FIX.4.4|35=8|11=c|150=F|39=1|32=1|31=2|60=20221228-17:00:00|", 17),
        ("8=FIX.4.4|35=8|11=c|17=e|150=F|39=1|32=0|31=2|60=20221228-17:00:00|", 32),
        ("8=FIX.4.4|35=8|11=c|17=e|150=F|39=1|32=1|60=20221228-17:00:00|", 31),
        ("8=FIX.4.4|35=8|11=c|17=e|150=Z|39=1|60=20221228-17:00:00|", 150),
        ("8=FIX.4.4|35=8|11=c|17=e|150=0|39=z|60=20221228-17:00:00|", 39),
        ("8=FIX.4.4|35=8|11=c|17=e|150=0|39=0|", 60),
        ("8=FIX.4.4|35=P|70=a|87=x|", 87),
        # More than anybody trades: sums of it could not be reckoned.
        (f"8=FIX.4.4|35=8|11=c|17=e|150=F|39=1|32={10**14}|31=2|60=20221228-17:00:00|", 32),
        (f"8=FIX.4.4|35=8|11=c|17=e|150=F|39=1|32=1|31={10**11}|60=20221228-17:00:00|", 31),
        (f"8=FIX.4.4|35=8|11=c|17=e|150=F|39=1|32=1|31=2|12={10**14}|13=3|60=20221228-17:00:00|", 12),
        (f"8=FIX.4.4|35=8|11=c|17=e|150=F|39=1|32=1|31=2|14={10**14}|60=20221228-17:00:00|", 14),
        (f"8=FIX.4.4|35=8|11=c|17=e|150=I|39=1|6={10**11}|60=20221228-17:00:00|", 6),
        ("8=FIX.4.4|35=8|11=c|17=e|150=D|39=0|38=0|60=20221228-17:00:00|", 38),
        ("8=FIX.4.4|35=8|11=c|17=e|150=5|39=0|38=-1|60=20221228-17:00:00|", 38),
        (f"8=FIX.4.4|35=8|11=c|17=e|150=5|39=0|38=1|44={10**11}|60=20221228-17:00:00|", 44),
        (f"8=FIX.4.4|35=8|11={'c' * 1001}|17=e|150=0|39=0|60=20221228-17:00:00|", 11),
    ],
)
def test_a_report_that_cannot_be_names_its_field(text, tag):
    with pytest.raises(FieldInvalid) as refused:
        hear(message_of(text))
    assert refused.value.tag == tag


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("8=FIX.4.4|35=D|11=c|55=VTI|54=1|40=1|", 38),
        ("8=FIX.4.4|35=D|11=c|55=VTI|54=1|38=-1|40=1|", 38),
        ("8=FIX.4.4|35=D|11=c|55=VTI|54=5|38=1|40=1|", 54),
        ("8=FIX.4.4|35=D|11=c|55=VTI|54=1|38=1|40=2|", 44),
        ("8=FIX.4.4|35=D|11=c|55=VTI|54=1|38=1|40=1|59=1|", 59),
        (f"8=FIX.4.4|35=D|11=c|55=VTI|54=1|38={10**14}|40=1|", 38),
        (f"8=FIX.4.4|35=D|11=c|55=VTI|54=1|38=1|40=2|44={10**11}|", 44),
        (f"8=FIX.4.4|35=D|11={'c' * 1001}|55=VTI|54=1|38=1|40=1|", 11),
        ("8=FIX.4.4|35=J|70=a|71=0|73=1|11=c|55=VTI|54=1|53=10|75=20221228|78=1|79=acc|80=9|", 78),
        ("8=FIX.4.4|35=J|70=a|71=0|55=VTI|54=1|53=10|75=20221228|", 73),
    ],
)
def test_a_request_that_cannot_be_names_its_field(text, tag):
    with pytest.raises(FieldInvalid) as refused:
        asked(message_of(text))
    assert refused.value.tag == tag


def test_what_was_not_understood_is_heard_with_its_number():
    assert hear(message_of("8=FIX.4.4|35=j|45=7|372=J|379=a-1|380=3|58=not here|")) == RequestRefused(
        7, "a-1", "J", "not here"
    )


def test_ids_are_unique_for_ever_and_still_refer_to_each_other():
    fill, bust = named(Filled("e-1", Decimal(1), Decimal(2)), "c-1"), named(FillBusted("e-2", "e-1"), "c-1")

    assert bust.busts == fill.report_id
    assert named(Filled("e-1", Decimal(1), Decimal(2)), "c-2").report_id != fill.report_id


def test_what_says_nothing_about_orders_is_nothing():
    assert hear(message_of("8=FIX.4.4|35=B|148=news|")) is None
    assert asked(message_of("8=FIX.4.4|35=V|262=x|")) is None
