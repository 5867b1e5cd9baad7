"""A FIX server that echoes orders, so that anyone can point public acceptance suites at our engine.

python -m services.execution.fix.acceptance --port 5001

It is what QuickFIX's acceptance definitions for servers expect: we are ISLD, the client is TW44 in FIX 4.4 (or TW50 in
FIXT 1.1 with FIX 5.0 SP2); numbers begin anew at each Logon; NewOrderSingle (D) and SecurityDefinition (d) are echoed
with their fields in ascending order; a D with PossResend whose ClOrdID was seen since the Logon is dropped; other
application messages are answered with a business reject. What it keeps, it keeps in memory.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

from services.execution.fix.memory import MemoryStore
from services.execution.fix.protocol.actions import Received
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.dictionary import Dictionary, fix_4_4, fix_5_0_sp2
from services.execution.fix.protocol.message import Message, Outgoing
from services.execution.fix.protocol.store import SessionId, Unit
from services.execution.fix.protocol.tags import CL_ORD_ID, POSS_RESEND
from services.execution.fix.protocol.validation import tags_within
from services.execution.fix.protocol.values import Pair
from services.execution.fix.transport.acceptor import Acceptor, Counterparty
from services.execution.fix.transport.application import Notice
from services.execution.fix.transport.limits import Limits
from services.runtime.clock import SystemClock

ECHOED = frozenset({"D", "d"})


class Echo:
    """Sends back what it gets."""

    def __init__(self, dictionaries: dict[SessionId, Dictionary]) -> None:
        """Echo in the version of each session."""
        self._dictionaries = dictionaries
        # By session: its generation, and the orders that came in it.
        self._seen: dict[SessionId, tuple[int, set[str]]] = {}

    @property
    def answers(self) -> bool:
        """See `Application`."""
        return True

    async def apply(self, unit: Unit, session: SessionId, messages: Sequence[Received]) -> Sequence[Outgoing]:  # noqa: ARG002 - nothing to write
        """Return the echoes."""
        return [
            echo(each.message, self._dictionaries[session])
            for each in messages
            if each.entry.msg_type in ECHOED and self._is_new(session, each)
        ]

    def _is_new(self, session: SessionId, received: Received) -> bool:
        order = received.message.text(CL_ORD_ID)
        if order is None:
            return True
        generation, orders = self._seen.get(session, (-1, set()))
        if generation != received.generation:
            orders = set()
            self._seen[session] = received.generation, orders
        seen = order in orders
        orders.add(order)
        return not (seen and received.message.poss_resend)

    async def notice(self, session: SessionId, what: Notice) -> None:
        """Say on standard error what happened."""
        sys.stderr.write(f"{session} {what}\n"[:500])


def echo(message: Message, dictionary: Dictionary) -> Outgoing:
    """Return a message with the body of `message`, top-level fields in ascending order, groups kept together."""
    groups = dictionary.messages[message.msg_type].members.groups
    outside = {*dictionary.header.places, *dictionary.trailer.places}
    chunks: list[list[Pair]] = []
    inside: frozenset[int] = frozenset()
    for tag, value in message.fields:
        if tag in inside:
            chunks[-1].append((tag, value))
        elif tag not in outside:
            chunks.append([(tag, value)])
            inside = tags_within(groups[tag]) if tag in groups else frozenset()
    body = [pair for chunk in sorted(chunks, key=lambda chunk: chunk[0][0]) for pair in chunk]
    return Outgoing(message.msg_type, body, [(POSS_RESEND, True)] if message.poss_resend else ())


async def serve(host: str, port: int) -> None:
    """Serve until told to stop; says on standard output where."""
    configs = [
        SessionConfig(
            sender="ISLD",
            target=target,
            role=Role.ACCEPTOR,
            dictionary=dictionary,
            reset_on_logon=True,
            supported=ECHOED,
            ages={},
        )
        for target, dictionary in (("TW44", fix_4_4()), ("TW50", fix_5_0_sp2()))
    ]
    application = Echo({each.session_id: each.dictionary for each in configs})
    counterparties = {each.session_id: Counterparty(each) for each in configs}
    acceptor = Acceptor(counterparties, MemoryStore(generations_max=1), application, SystemClock(), Limits())
    bound = await acceptor.start(host, port)
    sys.stdout.write(f"listening on {host}:{bound}\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await acceptor.stop()


def main() -> None:
    """Read the arguments, and serve."""
    parser = argparse.ArgumentParser(
        prog="python -m services.execution.fix.acceptance", description="Echo FIX orders, for public acceptance suites."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=0, help="port to listen on; 0 (default): any, said on standard output"
    )
    given = parser.parse_args()
    asyncio.run(serve(given.host, given.port))


if __name__ == "__main__":
    main()
