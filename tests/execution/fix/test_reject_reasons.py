"""Every session reject reason of FIX 4.4: what brings it about, and that the message is answered and counted once."""

from datetime import UTC, datetime

import pytest

from services.execution.fix.protocol.actions import Received, Send
from services.execution.fix.protocol.codec import decode
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.dictionary import RejectReason, fix_4_4
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.store import Numbers
from tests.execution.fix.wire import fix

NOW = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
STAMP = "20261130-10:00:00"
HEAD = f"34=2|49=THEM|52={STAMP}|56=US"
ORDER = f"11=ID|21=1|55=VTI|54=1|60={STAMP}|38=10|40=1"
BOMB = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'

# The reason, what the counterparty sends, and which tag we name. FIX 4.4 volume 2, SessionRejectReason <373>.
CASES = [
    (0, f"35=D|{HEAD}|{ORDER}|999=x", "999"),
    (0, f"35=D|{HEAD}|{ORDER}|0=x", "0"),
    (1, f"35=D|{HEAD}|{ORDER.replace('55=VTI|', '')}", "55"),
    (2, f"35=0|{HEAD}|55=VTI", "55"),
    (3, f"35=AE|{HEAD}|4321=x", "4321"),
    (4, f"35=D|{HEAD}|{ORDER.replace('55=VTI', '55=')}", "55"),
    (5, f"35=D|{HEAD}|{ORDER.replace('54=1', '54=Z')}", "54"),
    (6, f"35=D|{HEAD}|{ORDER.replace('38=10', '38=ten')}", "38"),
    (7, f"35=D|{HEAD}|90=3|91=abc|{ORDER}", "91"),
    (8, f"35=D|{HEAD}|{ORDER}|93=3|89=abc", "89"),
    (9, f"35=D|{HEAD.replace('THEM', 'OTHER')}|{ORDER}", None),
    (10, f"35=D|{HEAD.replace(STAMP, '20261130-09:00:00')}|{ORDER}", None),
    (11, f"35=*|{HEAD}", None),
    (12, f"35=D|{HEAD}|212=5|213=<a><b|{ORDER}", "213"),
    (12, f"35=D|{HEAD}|212={len(BOMB)}|213={BOMB}|{ORDER}", "213"),
    (12, f"35=D|{HEAD}|212=30|213=<?xml version='1' encoding='x'|{ORDER}", "213"),
    (13, f"35=D|{HEAD}|{ORDER}|54=1", "54"),
    (14, f"35=D|{HEAD}|{ORDER}|50=DESK", "50"),
    (15, f"35=D|{HEAD}|{ORDER}|453=1|447=D|448=X|452=1", "447"),
    (16, f"35=D|{HEAD}|{ORDER}|453=2|448=X|447=D|452=1", "453"),
    (17, f"35=D|{HEAD}|{ORDER}|58=hello|world", "58"),
    (17, f"35=D|{HEAD}|{ORDER}|58=hello||", "58"),
]


def test_the_table_has_every_reason_of_the_specification():
    assert {reason for reason, _, _ in CASES} == {int(each) for each in RejectReason if each is not RejectReason.OTHER}


@pytest.mark.parametrize(("reason", "text", "tag"), CASES)
def test_a_reason_is_given(reason, text, tag):
    session = Session(SessionConfig("US", "THEM", Role.ACCEPTOR), Numbers(0, 1, 1, NOW), NOW)
    session.receive(fix(f"8=FIX.4.4|35=A|34=1|49=THEM|52={STAMP}|56=US|98=0|108=30"), NOW)

    actions = session.receive(fix(f"8=FIX.4.4|{text}"), NOW)

    sent = [decode(each.entry.data, fix_4_4().data_tags) for each in actions if isinstance(each, Send)]
    reject = sent[0]
    assert (reject.msg_type, reject.integer(373), reject.integer(45)) == ("3", reason, 2)
    assert reject.text(371) == tag
    # Its number is used, and the application hears nothing of it.
    (received,) = [each for each in actions if isinstance(each, Received)]
    assert (received.entry.number, received.deliver) == (2, False)
    assert session.numbers.next_in == 3


def test_well_formed_xml_passes():
    document = "<order><note>x</note></order>"
    session = Session(SessionConfig("US", "THEM", Role.ACCEPTOR), Numbers(0, 1, 1, NOW), NOW)
    session.receive(fix(f"8=FIX.4.4|35=A|34=1|49=THEM|52={STAMP}|56=US|98=0|108=30"), NOW)

    actions = session.receive(fix(f"8=FIX.4.4|35=D|{HEAD}|212={len(document)}|213={document}|{ORDER}"), NOW)

    (received,) = [each for each in actions if isinstance(each, Received)]
    assert received.deliver
