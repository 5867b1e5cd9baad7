"""What is wrong with a peer, as a fact: work that needs it waits, says so, and tries again."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.kernel.errors import Unreachable
from services.runtime.client import PeerFault, peer_errors
from services.runtime.logging import get_logger

log = get_logger()


class PeerFailed(Unreachable):
    """Another service failed, or does not accept who we are. A person may have to look; we try again meanwhile."""

    reason = "PEER_UNREACHABLE"


@contextmanager
def facts_of(peer: str) -> Iterator[None]:
    """Turn what goes wrong while asking `peer` into facts.

    Raises:
        PeerUnreachable: It did not answer.
        PeerFailed: It failed, or refused us for who we are.
        Fact: What it said, with its reason.
    """
    try:
        with peer_errors(peer):
            yield
    except PeerFault as fault:
        log.warning("peer failed", peer=peer, error=str(fault))
        raise PeerFailed(str(fault), peer=peer) from fault
