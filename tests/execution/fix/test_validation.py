import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.fix.protocol.codec import decode
from services.execution.fix.protocol.dictionary import Field, RejectReason, fix_4_4, fix_5_0_sp2
from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.validation import entries, validate, walk
from tests.execution.fix.wire import fix

HEADER = "8=FIX.4.4|35={}|34=2|49=TW44|52=20261128-10:00:00.000|56=ISLD"
ORDER = HEADER.format("D") + "|11=ID|21=1|40=1|54=1|38=200|55=INTC|60=20261128-10:00:00"


def problem(text, dictionary=None, **options):
    dictionary = dictionary or fix_4_4()
    found = validate(decode(fix(text), dictionary.data_tags), dictionary, **options)
    return None if found is None else (int(found.reason), found.tag)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (ORDER, None),
        (ORDER + "|999=x", (0, "999")),
        (ORDER + "|-1=x", (0, "-1")),
        (ORDER + "|5001=x", (0, "5001")),
        (ORDER.replace("|55=INTC", ""), (1, "55")),
        (ORDER.replace("|56=ISLD", ""), (1, "56")),
        (HEADER.format("0") + "|55=INTC", (2, "55")),
        (ORDER.replace("55=INTC", "55="), (4, "55")),
        (ORDER.replace("21=1", "21=4"), (5, "21")),
        (ORDER + "|167=BOO", (5, "167")),
        (ORDER + "|167=CS", None),
        (ORDER.replace("38=200", "38=+200"), (6, "38")),
        (ORDER.replace("38=200", "38=2e2"), (6, "38")),
        (ORDER.replace("38=200", "38=002000.00"), None),
        (ORDER.replace("60=20261128-10:00:00", "60=20261328-10:00:00"), (6, "60")),
        (HEADER.format("*"), (11, None)),
        (ORDER + "|40=2", (13, "40")),
        (ORDER + "|50=DESK", (14, "50")),
        (ORDER + "|386=3|336=A|336=B", (16, "386")),
        (ORDER + "|386=1|336=A|336=B", (16, "386")),
        (ORDER + "|386=0", None),
        (ORDER + "|386=2|336=A|625=1|336=B", None),
        (ORDER + "|386=2|336=A|625=1|625=2|336=B", (13, "625")),
        (ORDER + "|453=1|447=D|448=X", (15, "447")),
        (ORDER + "|453=1|448=X|452=1|447=D", (15, "447")),
        (ORDER + "|453=2|448=X|447=D|452=1|802=1|523=S|803=4|448=Y|447=D|452=3", None),
        (ORDER + "|453=2|448=X|447=D|452=1|802=2|523=S|803=4|448=Y|447=D|452=3", (16, "802")),
        (ORDER + "|18=G 1 e", None),
        (ORDER + "|18=G  e", (6, "18")),
        (ORDER + "|18=G ?", (5, "18")),
        (ORDER + "|354=3|355=a|b", None),
    ],
)
def test_the_first_thing_that_is_wrong_is_found(text, found):
    assert problem(text) == found


def test_user_defined_fields_pass_where_they_are_agreed():
    dictionary = fix_4_4().with_fields("D", Field(7001, "DeskCode", "INT"), required=[7001])

    assert problem(ORDER + "|5001=x", allow_user_defined=True) is None
    assert problem(ORDER + "|7001=5", dictionary) is None
    assert problem(ORDER + "|7001=five", dictionary) == (6, "7001")
    assert problem(ORDER, dictionary) == (1, "7001")
    assert problem(ORDER + "|5001=x", dictionary) == (0, "5001")


def test_a_message_without_a_table_is_checked_field_by_field():
    assert problem(HEADER.format("R") + "|131=Q1|146=1|55=IBM") is None
    assert problem(HEADER.format("R") + "|131=Q1|146=one|55=IBM") == (6, "146")


def test_fix_5_0_sp2_has_its_own_fields_and_messages():
    dictionary = fix_5_0_sp2()
    order = ORDER.replace("FIX.4.4", "FIXT.1.1")
    logon = "8=FIXT.1.1|35=A|34=1|49=TW|52=20261128-10:00:00|56=ISLD|98=0|108=30"

    assert problem(order + "|1081=1|1080=REF", dictionary) is None
    assert problem(order + "|1081=1|1080=REF") == (0, "1081")
    assert problem(logon, dictionary) == (1, "1137")
    assert problem(logon + "|1137=9", dictionary) is None
    # Of QuickFIX's definition 14j for FIX 5.0: members of an allocation out of order.
    allocations = order + "|78=2|79=acct1|80=50|661=1|79=acct2|80=150|661=1"
    assert problem(allocations, dictionary) == (15, "661")


def test_groups_are_read_entry_by_entry():
    text = ORDER + "|453=2|448=X|447=D|452=1|802=2|523=S1|803=4|523=S2|803=5|448=Y|447=D|452=3|58=end"
    message = decode(fix(text), fix_4_4().data_tags)
    first, second = entries(message, fix_4_4(), 453)

    assert (first.get(448), second.get(448)) == (b"X", b"Y")
    assert [each.get(523) for each in entries(first, fix_4_4(), 802)] == [b"S1", b"S2"]
    assert list(entries(second, fix_4_4(), 802)) == []
    with pytest.raises(KeyError, match="NewOrderSingle has no group 555"):
        list(entries(message, fix_4_4(), 555))


def test_reasons_0_to_17_are_those_of_the_specification():
    assert [int(reason) for reason in RejectReason] == [*range(18), 99]
    assert RejectReason.TAG_SPECIFIED_WITHOUT_A_VALUE.text == "Tag specified without a value"
    assert RejectReason.INCORRECT_NUM_IN_GROUP_COUNT.text == "Incorrect NumInGroup count for repeating group"


WORDS = [b"", b"Y", b"1", b"x", b"1.5", b"-1", b"F", b"A B", b"20261128-10:00:00"]


@given(st.data())
def test_the_short_way_and_the_long_way_find_the_same(data):
    text = data.draw(st.sampled_from([ORDER, ORDER + "|386=1|336=A", HEADER.format("0"), ORDER + "|354=1|355=a"]))
    fields = list(decode(fix(text), fix_4_4().data_tags).fields)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(fields) - 1))
        tag, value = fields[at]
        match data.draw(st.sampled_from(["drop", "again", "move", "value", "tag"])):
            case "drop" if len(fields) > 1:
                del fields[at]
            case "again":
                fields.insert(data.draw(st.integers(0, len(fields))), (tag, value))
            case "move":
                fields.insert(data.draw(st.integers(0, len(fields) - 1)), fields.pop(at))
            case "tag":
                fields[at] = (data.draw(st.sampled_from([1, 10, 34, 54, 277, 336, 386, 4999, 5001])), value)
            case _:
                fields[at] = (tag, data.draw(st.sampled_from(WORDS)))
    message = Message(tuple(tag for tag, _ in fields), [value for _, value in fields], b"")

    assert validate(message, fix_4_4()) == walk(message, fix_4_4())
