"""What is agreed with a counterparty about a session."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from services.execution.fix.protocol.dictionary import Dictionary, fix_4_4
from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.schedule import ALWAYS, Always, Schedule
from services.execution.fix.protocol.store import SessionId
from services.execution.fix.protocol.values import Pair

# Orders and changes of orders: NewOrderSingle, NewOrderList, OrderCancelRequest, OrderCancelReplaceRequest,
# ListCancelRequest, ListExecute, OrderMassCancelRequest, and their multi-leg and cross kin.
ORDER_TYPES = ("D", "E", "F", "G", "K", "L", "q", "s", "t", "u", "AB", "AC")
# An order that is asked for again within this time may still be what its sender wants.
ORDER_AGE_MAX = timedelta(seconds=5)
ORDERS_AGE: Mapping[str, timedelta] = dict.fromkeys(ORDER_TYPES, ORDER_AGE_MAX)


class Role(StrEnum):
    """Who speaks first."""

    INITIATOR = "INITIATOR"
    ACCEPTOR = "ACCEPTOR"


def _admit(_: Message) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """A session as agreed.

    Attributes:
        sender: Our CompID.
        target: Theirs.
        role: Whether we connect or listen.
        dictionary: The version spoken.
        heartbeat_s: HeartBtInt that we propose as initiator, in whole seconds, 0 for none.
        heartbeat_max_s: The longest that we accept.
        schedule: When the session is open.
        reset_on_logon: Whether numbers begin anew at each logon.
        announce_reset: Whether the initiator's first Logon of a period carries ResetSeqNumFlag.
        accept_reset: Whether they may begin anew whenever they like (ResetSeqNumFlag).
        supported: Message types that the application takes; others get a business reject. None: all.
        user_defined: Whether fields from tag 5000 on pass without being in the dictionary.
        logon_fields: Further fields of our Logon, for instance Username.
        admit: Looks at their Logon, and returns why it is refused; None if it is not.
        ages: By message type, the age from which a message is never sent again but gap-filled.
        sending_time_tolerance: Their clock and ours may differ so much; FIX 4.4 volume 2 proposes two minutes.
        logon_patience: So long may a logon take.
        logout_patience: So long is their answer to our Logout waited for.
        resend_patience: After so long without progress what is missing is asked for again.
        waiting_max: So many messages beyond a gap are kept until it is closed; others are asked for again.
    """

    sender: str
    target: str
    role: Role
    dictionary: Dictionary = field(default_factory=fix_4_4)
    heartbeat_s: int = 30
    heartbeat_max_s: int = 3600
    schedule: Schedule | Always = ALWAYS
    reset_on_logon: bool = False
    announce_reset: bool = False
    accept_reset: bool = True
    supported: frozenset[str] | None = None
    user_defined: bool = False
    logon_fields: Sequence[Pair] = ()
    admit: Callable[[Message], str | None] = _admit
    ages: Mapping[str, timedelta] = field(default_factory=lambda: ORDERS_AGE)
    sending_time_tolerance: timedelta = timedelta(seconds=120)
    logon_patience: timedelta = timedelta(seconds=10)
    logout_patience: timedelta = timedelta(seconds=2)
    resend_patience: timedelta = timedelta(seconds=30)
    waiting_max: int = 10_000

    @property
    def session_id(self) -> SessionId:
        """Return the session's name."""
        return SessionId(self.dictionary.begin_string, self.sender, self.target)
