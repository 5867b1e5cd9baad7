"""A side of a FIX session as a process that is killed: python -m tests.execution.fix.killed ROLE PORT SEED URL FOLDER.

It sends messages in bursts, and writes with each, in its transaction, that it was sent; what it receives it writes as
applied. Records are claims of the session: `sent:<name>`, `applied:<name>`, and, if a message ever came twice,
`twice:<name>`. Once it is up there is a file `up` in its folder. SIGUSR1 makes it fall silent, SIGTERM log out.
"""

import asyncio
import random
import signal
import sys
from pathlib import Path

from services.execution.fix.postgres import PostgresStore
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.state import NotLoggedOn
from services.execution.fix.transport.acceptor import Acceptor, Counterparty
from services.execution.fix.transport.initiator import Address, Initiator
from services.execution.fix.transport.turn import OutcomeUnknown
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import ServiceSettings

BURST_MAX = 8


class Recorder:
    """Writes down what it gets."""

    answers = False

    async def apply(self, unit, session, messages):
        names = [each.message.text(148) for each in messages if each.entry.msg_type == "B"]
        fresh = await unit.claim(session, [f"applied:{name}" for name in names])
        twice = [name for name in names if f"applied:{name}" not in fresh]
        if twice:
            await unit.claim(session, [f"twice:{name}" for name in twice])
        return []

    async def notice(self, session, what):
        pass


async def talk(link_of, session, prefix, chance):
    """Send bursts of news for ever."""
    while True:
        link = link_of()
        if link is None or not link.up:
            await asyncio.sleep(0.01)
            continue
        names = [f"{prefix}-{chance.getrandbits(60):x}" for _ in range(chance.randrange(1, BURST_MAX))]

        async def sent(unit, names=names):
            await unit.claim(session, [f"sent:{name}" for name in names])

        news = [Outgoing("B", [(148, name), (33, [[(58, "line")]])]) for name in names]
        try:
            await link.send(news, sent)
        except (NotLoggedOn, OutcomeUnknown):
            continue
        await asyncio.sleep(chance.random() * 0.01)


async def main(role, port, seed, url, folder):
    database = Database(
        ServiceSettings.from_environment(
            database_url=url,
            database_schema="execution",
            database_pool_size=2,
            database_pool_wait_s=60,
            jwks_url="file:/nonexistent/jwks.json",
            token_issuer="https://issuer.test",
        )
    )
    store, clock, chance = PostgresStore(database), SystemClock(), random.Random(seed)
    loop = asyncio.get_running_loop()
    if role == "acceptor":
        config = SessionConfig("THEM", "US", Role.ACCEPTOR, ages={}, heartbeat_s=1)
        side = Acceptor({config.session_id: Counterparty(config)}, store, Recorder(), clock)
        await side.start("127.0.0.1", port)

        def link():
            return side.link(config.session_id)
    else:
        config = SessionConfig("US", "THEM", Role.INITIATOR, ages={}, heartbeat_s=1)
        side = Initiator(config, Address("127.0.0.1", port), store, Recorder(), clock)
        side.start()

        def link():
            return side.link

    talking = asyncio.create_task(talk(link, config.session_id, role[0], chance))
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, talking.cancel)
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    (folder / "up").touch()
    await ending.wait()
    await side.stop()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5])))
