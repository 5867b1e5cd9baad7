"""Where a connection is in its life."""

from enum import StrEnum


class NotLoggedOn(Exception):
    """Nothing can be sent now: an order that waits for a session to come back would be an old order."""


class State(StrEnum):
    """Where a connection is in its life."""

    # The acceptor waits for their Logon, or the initiator for their answer.
    LOGGING_ON = "LOGGING_ON"
    ACTIVE = "ACTIVE"
    # Our Logout is out, their answer is not here.
    LOGGING_OUT = "LOGGING_OUT"
    CLOSED = "CLOSED"
