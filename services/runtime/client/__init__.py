"""How does one service call another? With a token, a deadline, the trace, and errors that say what to do."""

from services.runtime.client.channel import connect
from services.runtime.client.errors import PeerFault, PeerUnreachable, peer_errors

__all__ = ["PeerFault", "PeerUnreachable", "connect", "peer_errors"]
