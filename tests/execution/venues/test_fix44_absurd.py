"""Messages that keep to the dictionary, and say what no broker and no client in their senses would say.

Whatever a message says, it is understood or refused by name. Anything else that is raised would have it come again, and
again, and nothing behind it would ever be read.
"""

import json
import random
from collections import Counter
from decimal import Decimal

import pytest

from services.execution.app.report_text import report_json, report_of
from services.execution.domain.order import OrderState, VenueOrder, after
from services.execution.fix.protocol.codec import decode, encode
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.message import FieldInvalid
from services.execution.fix.protocol.validation import validate
from services.execution.venues.fix44.asked import asked
from services.execution.venues.fix44.deals import as_booked
from services.execution.venues.fix44.hearing import HEARD, hear, named
from services.execution.venues.fix44.record import view_of
from services.execution.venues.fix44.said import OrderSaid
from services.execution.venues.fix44.sessions import ASKED
from services.kernel.money import in_cents

DICTIONARY = fix_4_4()
DIGITS = "9" * 30
NUMBERS = ["0", "1", "-1", ".5", "1.", "10.25", "100", DIGITS, f"-{DIGITS}", f"0.{'0' * 29}1", f"{DIGITS}.{DIGITS}"]
WHOLE = ["0", "1", "-1", "7", DIGITS]
DATES = ["20261130", "00010101", "99991231", "00000101", "20260230"]
SAMPLES = {
    **dict.fromkeys(("AMT", "FLOAT", "PERCENTAGE", "PRICE", "PRICEOFFSET", "QTY"), NUMBERS),
    **dict.fromkeys(("INT", "LENGTH", "SEQNUM"), WHOLE),
    **dict.fromkeys(("LOCALMKTDATE", "UTCDATEONLY"), DATES),
    "UTCTIMESTAMP": ["20261130-10:00:00", "00010101-00:00:00", "99991231-23:59:60", "00000101-00:00:00.5"],
    "BOOLEAN": ["Y", "N"],
    "CHAR": ["1", "2", "x"],
    "CURRENCY": ["USD", "EUR", "XXX"],
}
WORDS = ["c-1", "c-2", "VTI", "EUR/USD", "USD/EUR", "EUR", "1", "2", "8", "\0", "\u00e9", "x" * 3_000]
ENTRIES_MAX = 3
# How an order of ours may be paid: not a pair, and a pair dealt either way.
PAID = [("VTI", "USD"), ("EUR/USD", "USD"), ("EUR/USD", "EUR")]


def a_value(chance, tag):
    field = DICTIONARY.fields[tag]
    if field.values:
        return chance.choice(sorted(field.values))
    return chance.choice(SAMPLES.get(field.kind, WORDS)).encode()


def some_fields(chance, members, wanted):
    """Fields of a message or of an entry in their order: those required, and more or less of the others."""
    for tag in members.places:
        needed = tag in members.required or tag == members.first
        if not needed and (tag not in wanted or chance.random() < 0.2):
            continue
        if tag in members.groups:
            entries = chance.randrange(ENTRIES_MAX + 1)
            yield tag, b"%d" % entries
            for _ in range(entries):
                yield from some_fields(chance, members.groups[tag], wanted)
        elif tag not in DICTIONARY.data_tags.all:
            yield tag, a_value(chance, tag)


def a_message(chance, msg_type, wanted):
    head = [(35, msg_type.encode()), (34, b"2"), (49, b"THEM"), (52, b"20261130-10:00:00"), (56, b"US")]
    body = some_fields(chance, DICTIONARY.messages[msg_type].members, wanted)
    return decode(encode(b"FIX.4.4", [*head, *body], DICTIONARY.data_tags), DICTIONARY.data_tags)


def booked(message, said):
    """Take what was said as far as it goes before it is written."""
    for instrument, currency in PAID:
        ours = said if instrument == "VTI" else as_booked(instrument, currency, message, said)
        if ours.report is not None:
            report = named(ours.report, "c-1")
            order = VenueOrder(Decimal(10), ours=OrderState.PENDING_NEW)
            for fill in after(order, report).fills.values():
                assert in_cents(fill.quantity * fill.price + fill.fee) >= 0
            kind, content = report_json(report)
            assert report_of(kind, json.loads(content)) == report
        if ours.standing is not None:
            view_of("c-1", ours.standing)


@pytest.mark.parametrize("msg_type", sorted(HEARD | ASKED - {"j"}))
def test_whatever_a_message_says_it_is_understood_or_refused_by_name(msg_type):
    chance, ends = random.Random(f"absurd {msg_type}"), Counter()
    # What the meaning may depend on: all that the dictionary has there is mostly what nobody looks at.
    looked_at = {6, 11, 12, 13, 14, 15, 17, 19, 31, 32, 37, 38, 39, 40, 41, 44, 45, 53, 54, 55, 58, 59, 60, 64, 66, 67}
    looked_at |= {70, 71, 72, 73, 75, 78, 79, 80, 87, 88, 102, 103, 136, 137, 138, 139, 150, 151, 371, 372, 373, 379}
    looked_at |= {380, 429, 430, 431, 434, 444, 479, 584, 585, 626, 755, 790, 797, 857, 891, 911, 912}
    for _ in range(400):
        message = a_message(chance, msg_type, looked_at)
        if validate(message, DICTIONARY) is not None:
            continue
        try:
            said = hear(message) if msg_type in HEARD else asked(message)
            if isinstance(said, OrderSaid):
                booked(message, said)
        except FieldInvalid:
            ends["refused"] += 1
        else:
            ends["understood"] += 1
    assert ends.total() > 200
