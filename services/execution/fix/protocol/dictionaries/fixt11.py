"""The session messages of FIXT 1.1, in the notation of `fix44`.

Facts of the FIX session protocol specification FIXT 1.1 (FIX Protocol Ltd., 2008).

Tag numbers, names, types, lists of values and required fields were taken from QuickFIX's data dictionaries, which list
those of the specification; the arrangement is ours.
"""

HEADER = """
    8! 9! 35! 49! 56! 115 128 90 91 34! 50 142 57 143 116 144 129 145 43 97 52! 122 212 213 347 369
    627(628 629 630) 1128 1129
"""
TRAILER = "93 89 10!"

TYPES = "0 1 2 3 4 5 A n"

COMPONENTS = {
    "MsgTypeGrp": "384(372 385 1130 1131)",
}

MESSAGES = {
    "0 Heartbeat": "112",
    "1 TestRequest": "112!",
    "2 ResendRequest": "7! 16!",
    "3 Reject": "45! 371 372 373 58 354 355",
    "4 SequenceReset": "123 36!",
    "5 Logout": "58 354 355",
    "A Logon": "98! 108! 95 96 141 789 383 464 553 554 1137! @MsgTypeGrp",
}
