"""What we agree with brokers about sessions, and with clients of the sandbox."""

from collections.abc import Mapping
from datetime import timedelta

from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.schedule import ALWAYS, Always, Schedule
from services.execution.venues.fix44.hearing import HEARD
from services.execution.venues.fix44.words import (
    ALLOCATION,
    CANCEL,
    MASS_STATUS,
    NEW_LIST,
    NEW_ORDER,
    REPLACE,
    STATUS,
)

# Never sent again, however young: an order that was lost is asked about by its name, and a question is asked anew.
# A cancel and an allocation are: doing either twice does it once, and nobody asks for them a second time.
NEVER_AGAIN: Mapping[str, timedelta] = dict.fromkeys((NEW_ORDER, NEW_LIST, REPLACE, STATUS, MASS_STATUS), timedelta(0))
ASKED = frozenset({NEW_ORDER, NEW_LIST, CANCEL, REPLACE, STATUS, MASS_STATUS, ALLOCATION, "j"})


def broker_session(
    us: str, broker: str, *, heartbeat_s: int = 30, schedule: Schedule | Always = ALWAYS
) -> SessionConfig:
    """Return the session with a broker that we open."""
    return SessionConfig(
        sender=us,
        target=broker,
        role=Role.INITIATOR,
        heartbeat_s=heartbeat_s,
        schedule=schedule,
        supported=HEARD,
        user_defined=True,
        ages=NEVER_AGAIN,
    )


def client_session(us: str, client: str) -> SessionConfig:
    """Return the session that a client of the sandbox opens. Reports are sent again, however old they are."""
    return SessionConfig(sender=us, target=client, role=Role.ACCEPTOR, supported=ASKED, user_defined=True, ages={})
