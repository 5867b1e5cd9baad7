"""What QuickFIX's 59 public acceptance definitions for a FIX 4.4 server describe, in our notation (see `script`).

Names and behaviours are those of test/definitions/server/fix44 of the repository quickfix/quickfix; the conversations
are ours. Heartbeat intervals are shorter, so that nobody waits long. Each value: what is shown, and the conversation.
"""

LOGON = "> A 1 98=0|108=30\n< A 1 98=0|108=30\n"
ORDER = "11=ID|21=3|40=1|54=1|55=INTC|60=NOW"


def good_bye(theirs, ours):
    return f"> 5 {theirs}\n< 5 {ours}\nclosed\n"


def echoed(theirs, ours, body=ORDER):
    return f"> D {theirs} {body}\n< D {ours} {body}\n"


def probed(theirs, ours, text="HELLO"):
    return f"> 1 {theirs} 112={text}\n< 0 {ours} 112={text}\n"


def _rejected(ours, theirs, text, tag, kind, reason, routing=""):
    blamed = "" if tag is None else f"371={tag}|"
    return f"< 3 {ours} {routing}45={theirs}|58={text}|{blamed}372={kind}|373={reason}\n"


WRONG_VALUE = "Value is incorrect (out of range) for this tag"
NO_VALUE = "Tag specified without a value"
BAD_FORMAT = "Incorrect data format for value"
MISSING = "Required tag missing"
TIME_PROBLEM = "SendingTime accuracy problem"
GAP_1_5 = "< 4 {} 43=Y|122=NOW|36={}|123=Y\n"


def _gap(first, after):
    return GAP_1_5.format(first, after)


def _again(number, body=ORDER):
    return f"< D {number} 43=Y|122=NOW|{body}\n"


def _symbol(name):
    return ORDER.replace("INTC", name)


DEFINITIONS = {
    "1a_ValidLogonWithCorrectMsgSeqNum": (
        "A valid Logon is answered with a Logon.",
        LOGON + "close",
    ),
    "1a_ValidLogonMsgSeqNumTooHigh": (
        "A Logon with too high a number is answered, then what is missing is asked for.",
        "> A 5 98=0|108=30\n< A 1 98=0|108=30\n< 2 2 7=1|16=0\n" + good_bye(6, 3),
    ),
    "1b_DuplicateIdentity": (
        "A second connection under the same identity is closed without a word.",
        LOGON + ">2 A 1 98=0|108=30\nclosed2\nclose",
    ),
    "1c_InvalidSenderCompID": (
        "A Logon from an unknown SenderCompID is not answered.",
        "> A 1 49=WT|98=0|108=30\nclosed",
    ),
    "1c_InvalidTargetCompID": (
        "A Logon for another TargetCompID is not answered.",
        "> A 1 56=DLSI|98=0|108=30\nclosed",
    ),
    "1d_InvalidLogonBadSendingTime": (
        "A Logon with a SendingTime far away is not answered.",
        "> A 1 52=20010101-00:00:00|98=0|108=30\nclosed",
    ),
    "1d_InvalidLogonLengthInvalid": (
        "A Logon with a wrong BodyLength closes the connection.",
        "raw 8=FIX.4.4|9=40|35=A|34=1|49=TW44|52=NOW|56=ISLD|98=0|108=30\nclosed",
    ),
    "1d_InvalidLogonWrongBeginString": (
        "A Logon in another version is not answered.",
        "> A 1 8=FIX.3.9|98=0|108=30\nclosed",
    ),
    "1e_NotLogonMessage": (
        "A first message that is no Logon closes the connection.",
        "> 0 1\nclosed",
    ),
    "2a_MsgSeqNumCorrect": (
        "Messages in sequence are taken.",
        LOGON + "> 0 2\n> 0 3\n> 0 4\n> 0 5\n" + good_bye(6, 2),
    ),
    "2b_MsgSeqNumTooHigh": (
        "Too high a number: what is missing is asked for once, and what came early counts when its turn comes.",
        LOGON
        + "> 0 2\n> 0 3\n> 0 10\n< 2 2 7=4|16=0\n"
        + "".join(f"> 0 {n}\n" for n in range(4, 10))
        + good_bye(11, 3),
    ),
    "2c_MsgSeqNumTooLow": (
        "Too low a number without PossDupFlag ends the session, with the numbers in the text.",
        LOGON + "> 0 2\n> 0 3\n> 0 4\n> 0 2\n< 5 2 58=MsgSeqNum too low, expecting 5 but received 2\nclosed",
    ),
    "2d_GarbledMessage": (
        "A garbled message is ignored, its number is not used, and it is asked for when the next one shows the gap.",
        LOGON
        + "raw 8=FIX.4.4|9=52|35=0|34=2garbled|49=TW44|52=NOW|56=ISLD|10=0\n> 0 2\n"
        + "raw 8=FIX.4.4|9=81|35=D|34=3|garbled=TW44|52=NOW|56=ISLD|11=ID|21=3|40=1|54=1|55=INTC|10=0\n> 0 4\n"
        + "< 2 2 7=3|16=0\n"
        + echoed(3, 3)
        + good_bye(5, 4),
    ),
    "2e_PossDupAlreadyReceived": (
        "A possible duplicate of what was received is ignored.",
        LOGON + "> 0 2\n> 0 2 43=Y|122=NOW\n> 0 3\n" + good_bye(4, 2),
    ),
    "2e_PossDupNotReceived": (
        "A possible duplicate of what was not received is taken.",
        LOGON + "> 0 2\n> 0 2 43=Y|122=NOW\n> 0 3 43=Y|122=NOW\n" + good_bye(4, 2),
    ),
    "2f_PossDupOrigSendingTimeTooHigh": (
        "A possible duplicate first sent after it was sent again is rejected, and the session ends.",
        LOGON
        + echoed(2, 2)
        + echoed(3, 3)
        + f"> D 2 43=Y|122=NOW+10|{ORDER}\n"
        + _rejected(4, 2, TIME_PROBLEM, None, "D", 10)
        + "< 5 5\n> 5 4\nclosed",
    ),
    "2g_PossDupNoOrigSendingTime": (
        "A possible duplicate without OrigSendingTime is rejected; an old number is not used again.",
        LOGON
        + echoed(2, 2)
        + echoed(3, 3)
        + f"> D 2 43=Y|{ORDER}\n"
        + _rejected(4, 2, MISSING, 122, "D", 1)
        + probed(4, 5)
        + good_bye(5, 6),
    ),
    "2i_BeginStringValueUnexpected": (
        "Another BeginString ends the session, whether the Logout is answered or not.",
        LOGON
        + "> 1 2 8=FIX.4.1|112=id\n< 5 2 58=Incorrect BeginString\n> 5 3\nclosed\nagain\n"
        + LOGON
        + "> 1 2 8=FIX.4.1|112=id\n< 5 2 58=Incorrect BeginString\nclosed",
    ),
    "2k_CompIDDoesNotMatchProfile": (
        "Another CompID is rejected, and the session ends.",
        "again\n".join(
            LOGON
            + f"> D 2 {wrong}|{ORDER}\n"
            + _rejected(2, 2, "CompID problem", None, "D", 9)
            + "< 5 3\n> 5 3\nclosed\n"
            for wrong in ("49=WT", "56=DLSI", "49=WT|56=DLSI")
        ),
    ),
    "2m_BodyLengthValueNotCorrect": (
        "A message with too short a length is ignored; too long a one takes the next message with it.",
        LOGON
        + f"raw 8=FIX.4.4|9=30|35=D|34=2|49=TW44|52=NOW|56=ISLD|{ORDER}\n"
        + f"> D 3 {ORDER}\n< 2 2 7=2|16=0\n"
        + f"> D 2 122=NOW|{ORDER}\n< D 3 {ORDER}\n< D 4 {ORDER}\n"
        + f"raw 8=FIX.4.4|9=111|35=D|34=4|49=TW44|52=NOW|56=ISLD|{ORDER}\n> D 5 {ORDER}\n"
        + f"> D 4 {ORDER}\n> D 5 {ORDER}\n< D 5 {ORDER}\n< D 6 {ORDER}\n"
        + good_bye(6, 7),
    ),
    "2o_SendingTimeValueOutOfRange": (
        "A SendingTime more than two minutes away is rejected, and the session ends.",
        "again\n".join(
            LOGON + f"> 0 2 52={wrong}\n" + _rejected(2, 2, TIME_PROBLEM, None, "0", 10) + "< 5 3\n> 5 3\nclosed\n"
            for wrong in ("NOW-125", "NOW+125")
        ),
    ),
    "2q_MsgTypeNotValid": (
        "A message type that does not exist is rejected.",
        LOGON + "> * 2\n" + _rejected(2, 2, "Invalid MsgType", None, "*", 11) + "> 5 3\n< 5 3\nclose",
    ),
    "2r_UnregisteredMsgType": (
        "A message type that the application does not take gets a business reject.",
        LOGON
        + "> 8 2 37=id|17=id|150=0|39=0|55=WLRI|54=1|151=100|14=0|6=0.0\n"
        + "< j 2 45=2|58=Unsupported Message Type|372=8|380=3\n"
        + good_bye(3, 3),
    ),
    "2t_FirstThreeFieldsOutOfOrder": (
        "BeginString, BodyLength and MsgType in another order: the message is ignored.",
        LOGON
        + "raw 35=0|8=FIX.4.4|9=29|34=2|49=TW44|52=NOW|56=ISLD|10=121|\n"
        + probed(2, 2)
        + "raw 8=FIX.4.4|34=3|35=0|49=TW44|52=NOW|56=ISLD\n"
        + probed(3, 3)
        + good_bye(4, 4),
    ),
    "3b_InvalidChecksum": (
        "A message with a wrong CheckSum is ignored, and asked for when the next one shows the gap.",
        LOGON
        + "raw 8=FIX.4.4|35=0|34=2|49=TW44|52=NOW|56=ISLD|10=256\n> 0 2\n"
        + f"raw 8=FIX.4.4|35=D|34=3|49=TW44|52=NOW|56=ISLD|{ORDER}|10=256\n> 0 4\n< 2 2 7=3|16=0\n"
        + echoed(3, 3)
        + good_bye(4, 4),
    ),
    "3c_GarbledMessage": (
        "The same as 2d, with a client that leaves in the middle.",
        LOGON
        + "raw 8=FIX.4.4|9=52|35=0|34=2garbled|49=TW44|52=NOW|56=ISLD|10=0\n> 0 2\n"
        + "raw 8=FIX.4.4|9=81|35=D|34=3|garbled=TW44|52=NOW|56=ISLD|11=ID|21=3|40=1|54=1|55=INTC|10=0\n> 0 4\n"
        + "< 2 2 7=3|16=0\n"
        + f"> D 3 {ORDER}\nclose",
    ),
    "4a_NoDataSentDuringHeartBtInt": (
        "Heartbeats come when nothing else does.",
        "> A 1 98=0|108=1\n< A 1 98=0|108=1\n< 0 2\n> 0 2\n< 0 3\n> 0 3\n" + good_bye(4, 4),
    ),
    "4b_ReceivedTestRequest": (
        "A TestRequest is answered with a Heartbeat that carries its id.",
        LOGON + probed(2, 2) + good_bye(3, 3),
    ),
    "6_SendTestRequest": (
        "A client that says nothing is asked, and hung up on if it does not answer.",
        (
            "> A 1 98=0|108=1\n< A 1 98=0|108=1\n< 0 2\n> 0 2\n< 0 3\n< 1 4 112=TEST\n> 0 3 112=TEST\n"
            "< 0 5\n> 0 4\n< 0 6\n< 1 7 112=TEST\nclosed"
        ),
    ),
    "7_ReceiveRejectMessage": (
        "A Reject uses its number, and is not answered.",
        LOGON + "> 3 2 45=1\n" + good_bye(3, 2),
    ),
    "8_AdminAndApplicationMessages": (
        "Asked for again: session messages are gap-filled, application messages sent as possible duplicates.",
        LOGON
        + probed(2, 2)
        + probed(3, 3)
        + probed(4, 4)
        + echoed(5, 5)
        + echoed(6, 6, _symbol("CDG"))
        + probed(7, 7)
        + probed(8, 8)
        + echoed(9, 9, _symbol("IVP"))
        + "> 2 10 7=2|16=4\n"
        + _gap(2, 5)
        + "> 2 11 7=2|16=6\n"
        + _gap(2, 5)
        + _again(5)
        + _again(6, _symbol("CDG"))
        + "> 2 12 7=2|16=8\n"
        + _gap(2, 5)
        + _again(5)
        + _again(6, _symbol("CDG"))
        + _gap(7, 9)
        + "> 2 13 7=2|16=9\n"
        + _gap(2, 5)
        + _again(5)
        + _again(6, _symbol("CDG"))
        + _gap(7, 9)
        + _again(9, _symbol("IVP"))
        + "> 2 14 7=2|16=0\n"
        + _gap(2, 5)
        + _again(5)
        + _again(6, _symbol("CDG"))
        + _gap(7, 9)
        + _again(9, _symbol("IVP"))
        + probed(15, 10)
        + good_bye(16, 11),
    ),
    "8_OnlyAdminMessages": (
        "Session messages asked for again become one gap fill; a ResendRequest is answered whatever its own number.",
        LOGON
        + probed(2, 2)
        + probed(3, 3)
        + probed(4, 4)
        + "> 2 5 7=1|16=4\n"
        + _gap(1, 5)
        + probed(6, 5)
        + "> 2 5 7=1|16=0\n"
        + _gap(1, 6)
        + good_bye(6, 6),
    ),
    "8_OnlyApplicationMessages": (
        "Application messages asked for again are all sent again, bounded and open.",
        LOGON
        + echoed(2, 2)
        + echoed(3, 3, _symbol("CDG"))
        + echoed(4, 4, _symbol("IVP"))
        + "> 2 5 7=2|16=4\n"
        + _again(2)
        + _again(3, _symbol("CDG"))
        + _again(4, _symbol("IVP"))
        + probed(6, 5)
        + "> 2 7 7=2|16=0\n"
        + _again(2)
        + _again(3, _symbol("CDG"))
        + _again(4, _symbol("IVP"))
        + _gap(5, 6)
        + good_bye(8, 6),
    ),
    "10_MsgSeqNumEqual": (
        "A gap fill in its turn moves the expected number.",
        LOGON + "> 4 2 36=20|123=Y\n" + probed(20, 2) + good_bye(21, 3),
    ),
    "10_MsgSeqNumGreater": (
        "A gap fill before its turn does not: what is missing is asked for, once.",
        LOGON + "> 4 10 36=20|123=Y\n> 1 20 112=HELLO\n< 2 2 7=2|16=0\n" + good_bye(2, 3),
    ),
    "10_MsgSeqNumLess": (
        "A gap fill with an old number is ignored as a possible duplicate, and ends the session otherwise.",
        LOGON
        + "> 4 1 43=Y|122=NOW-1|36=20|123=Y\n"
        + probed(2, 2)
        + "> 4 1 36=20|123=Y\n< 5 3 58=MsgSeqNum too low, expecting 3 but received 1\nclosed",
    ),
    "11a_NewSeqNoGreater": (
        "A SequenceReset without gap fill moves the expected number on, whatever its own number.",
        LOGON + "> 4 0 36=25\n" + probed(25, 2) + "> 4 0 36=50|123=N\n" + probed(50, 3) + good_bye(51, 4),
    ),
    "11b_NewSeqNoEqual": (
        "A SequenceReset to the expected number changes nothing.",
        LOGON + "> 4 0 36=2\n" + probed(2, 2) + "> 4 0 36=3|123=N\n" + probed(3, 3) + good_bye(4, 4),
    ),
    "11c_NewSeqNoLess": (
        "A SequenceReset to a lower number is rejected.",
        LOGON
        + "> 4 0 36=1\n"
        + _rejected(2, 0, WRONG_VALUE, None, "4", 5)
        + probed(2, 3)
        + "> 4 0 36=1|123=N\n"
        + _rejected(4, 0, WRONG_VALUE, None, "4", 5)
        + probed(3, 5)
        + good_bye(4, 6),
    ),
    "13b_UnsolicitedLogoutMessage": (
        "A Logout is answered with a Logout.",
        LOGON + "> 5 2\n< 5 2\nclose",
    ),
    "14a_BadField": (
        "A tag that the specification does not define is rejected, below, within and above its range.",
        LOGON
        + "".join(
            f"> 0 {n} {tag}=HI\n" + _rejected(n, n, "Invalid tag number", tag, "0", 0)
            for n, tag in ((2, 999), (3, 0), (4, -1), (5, 5000))
        )
        + good_bye(6, 6),
    ),
    "14b_RequiredFieldMissing": (
        "A required field that is missing is rejected, in the header and in the body.",
        LOGON
        + "> 0 2 56=-\n"
        + _rejected(2, 2, MISSING, 56, "0", 1)
        + f"> D 3 {ORDER.replace('55=INTC|', '')}\n"
        + _rejected(3, 3, MISSING, 55, "D", 1)
        + good_bye(4, 4),
    ),
    "14c_TagNotDefinedForMsgType": (
        "A field that does not belong to the message type is rejected.",
        LOGON
        + "> 0 2 55=MSFT\n"
        + _rejected(2, 2, "Tag not defined for this message type", 55, "0", 2)
        + good_bye(3, 3),
    ),
    "14d_TagSpecifiedWithoutValue": (
        "A field without a value is rejected.",
        LOGON + "> 0 2 56=\n" + _rejected(2, 2, NO_VALUE, 56, "0", 4) + good_bye(3, 3),
    ),
    "14e_IncorrectEnumValue": (
        "A value that is not in the field's list is rejected.",
        LOGON
        + f"> D 2 {ORDER.replace('21=3', '21=4')}\n"
        + _rejected(2, 2, WRONG_VALUE, 21, "D", 5)
        + f"> D 3 {ORDER}|167=BOO\n"
        + _rejected(3, 3, WRONG_VALUE, 167, "D", 5)
        + echoed(4, 4, "11=ID|21=1|38=002000.00|40=1|54=1|55=INTC|60=NOW|167=CS")
        + good_bye(5, 5),
    ),
    "14f_IncorrectDataFormat": (
        "A value that is not of the field's type is rejected.",
        LOGON + f"> D 2 38=+200.00|{ORDER}\n" + _rejected(2, 2, BAD_FORMAT, 38, "D", 6) + good_bye(3, 3),
    ),
    "14g_HeaderBodyTrailerFieldsOutOfOrder": (
        "A header field behind a body field is rejected.",
        LOGON
        + f"raw 8=FIX.4.4|35=D|{ORDER}|34=2|49=TW44|52=NOW|56=ISLD\n"
        + _rejected(2, 2, "Tag specified out of required order", 34, "D", 14)
        + "raw 8=FIX.4.4|35=D|55=MSFT|34=3|49=TW44|52=NOW|56=ISLD|11=id|21=3|40=1|54=1|60=NOW\n"
        + _rejected(3, 3, "Tag specified out of required order", 34, "D", 14)
        + good_bye(4, 4),
    ),
    "14h_RepeatedTag": (
        "A field that appears twice outside of a group is rejected.",
        LOGON
        + "> D 2 11=ID|21=1|40=1|40=2|54=1|38=200.00|55=INTC|60=NOW\n"
        + _rejected(2, 2, "Tag appears more than once", 40, "D", 13)
        + good_bye(3, 3),
    ),
    "14i_RepeatingGroupCountNotEqual": (
        "A group with another number of entries than its count says is rejected.",
        LOGON
        + "> D 2 11=ID|21=1|40=1|54=1|38=200.00|55=INTC|386=3|336=PRE-OPEN|336=AFTER-HOURS|60=NOW\n"
        + _rejected(2, 2, "Incorrect NumInGroup count for repeating group", 386, "D", 16)
        + good_bye(3, 3),
    ),
    "15_HeaderAndBodyFieldsOrderedDifferently": (
        "The order of fields within header and body is free.",
        LOGON
        + echoed(2, 2)
        + "raw 8=FIX.4.4|35=D|49=TW44|34=3|56=ISLD|52=NOW|40=1|55=INTC|60=NOW|54=1|21=3|11=ID\n"
        + f"< D 3 {ORDER}\n"
        + good_bye(4, 4),
    ),
    "19a_PossResendMessageThatHAsAlreadyBeenSent": (
        "A possible resend of an order that was seen is dropped by the application.",
        LOGON + echoed(2, 2) + f"> D 3 97=Y|{ORDER}\n" + good_bye(4, 3),
    ),
    "19b_PossResendMessageThatHasNotBeenSent": (
        "A possible resend of an order that was not seen is taken.",
        LOGON + f"> D 2 97=Y|{ORDER}\n< D 2 97=Y|{ORDER}\n" + good_bye(3, 3),
    ),
    "20_SimultaneousResendRequest": (
        "Both sides ask at once: each is answered before its own gap is closed.",
        LOGON
        + echoed(2, 2)
        + echoed(3, 3)
        + "> 0 7\n< 2 4 7=4|16=0\n> 2 8 7=2|16=3\n"
        + _again(2)
        + _again(3)
        + "".join(f"> 0 {n} 43=Y|122=NOW\n" for n in (4, 5, 6))
        + good_bye(7, 5),
    ),
    "21_RepeatingGroupSpecifierWithValueOfZero": (
        "A group with a count of zero is a group without entries.",
        LOGON
        + "> d 2 320=REQ-1|322=RESP-1|323=6|55=TBS|22=8|167=CS|336=ONE_MAIN|58=no such symbol|454=0\n"
        + "< d 2 22=8|55=TBS|58=no such symbol|167=CS|320=REQ-1|322=RESP-1|323=6|336=ONE_MAIN|454=0\n"
        + good_bye(3, 3),
    ),
    "AlreadyLoggedOn": (
        "A second connection under the same identity is closed, and the first goes on.",
        LOGON + ">2 A 1 98=0|108=30\nclosed2\n" + good_bye(2, 2),
    ),
    "RejectResentMessage": (
        "A message sent again that is invalid is rejected, and what waited behind it is taken in order.",
        LOGON
        + "> 1 3 112=HELLO1\n< 2 2 7=2|16=0\n"
        + "raw 8=FIX.4.4|35=D|34=2|43=Y|49=TW44|52=NOW|56=ISLD|122=NOW|11=ID|21=3|38=100|40=1|54=1|55=IVP|60=NOW"
        + "|126=20040415\n"
        + _rejected(3, 2, BAD_FORMAT, 126, "D", 6)
        + "> 1 4 112=HELLO2\n< 0 4 112=HELLO1\n< 0 5 112=HELLO2\n"
        + good_bye(11, 6),
    ),
    "ReverseRoute": (
        "A reject goes back the way its message came.",
        LOGON
        + "".join(
            f"> D {n} {came}|{ORDER.replace('40=1', '40=w')}\n" + _rejected(n, n, WRONG_VALUE, 40, "D", 5, f"{back}|")
            for n, came, back in (
                (2, "115=JCD", "128=JCD"),
                (3, "128=JCD", "115=JCD"),
                (4, "115=JCD|116=CS", "128=JCD|129=CS"),
                (5, "128=JCD|129=CS", "115=JCD|116=CS"),
                (6, "115=JCD|116=CS|144=CHI", "128=JCD|129=CS|145=CHI"),
                (7, "128=JCD|129=CS|145=CHI", "115=JCD|116=CS|144=CHI"),
            )
        )
        + good_bye(8, 8),
    ),
    "ReverseRouteWithEmptyRoutingTags": (
        "Empty routing fields are rejected, and not sent back.",
        LOGON
        + "".join(
            f"> D {n} {came}|{ORDER}\n" + _rejected(n, n, NO_VALUE, tag, "D", 4, f"{back}|" if back else "")
            for n, came, tag, back in (
                (2, "115=", 115, ""),
                (3, "128=", 128, ""),
                (4, "115=JCD|116=", 116, "128=JCD"),
                (5, "128=JCD|129=", 129, "115=JCD"),
                (6, "115=JCD|116=CS|144=", 144, "128=JCD|129=CS"),
                (7, "128=JCD|129=CS|145=", 145, "115=JCD|116=CS"),
            )
        )
        + good_bye(8, 8),
    ),
    "SessionReset": (
        "A Logon with ResetSeqNumFlag within the session begins both sides' numbers anew.",
        LOGON
        + "".join(f"> 0 {n}\n" for n in range(2, 10))
        + probed(10, 2, "1")
        + "> A 1 98=0|108=30|141=Y\n< A 1 98=0|108=30|141=Y\n"
        + probed(2, 2, "1")
        + good_bye(3, 3),
    ),
}
