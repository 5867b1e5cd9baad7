"""Two parties with disks, a network between them that loses connections at any byte, and processes that die.

The disks hold what a transaction wrote; everything else is gone with the process. Each application message has an id.
"""

from datetime import UTC, datetime, timedelta

from services.execution.fix.protocol.actions import Close, GapFilled, Received, Resend, Send, Transmit
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.framer import Framer
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.state import State
from services.execution.fix.protocol.store import Numbers

START = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)


class Party:
    """One side: a disk, and perhaps a running session."""

    def __init__(self, config):
        self.config = config
        self.numbers = Numbers(0, 1, 1, START)
        self.journal = {}
        self.sent, self.delivered, self.gap_filled = [], [], []
        self.session = self.framer = None
        self.out = bytearray()
        self.notices = []

    def start(self, now):
        self.session, self.framer = Session(self.config, self.numbers, now), Framer()
        self.out.clear()
        if self.config.role is Role.INITIATOR:
            self.carry(self.session.connect(now), now)

    def stop(self):
        self.session = None
        self.out.clear()

    @property
    def up(self):
        return self.session is not None and self.session.state is State.ACTIVE

    def say(self, msg_type, name, now, dies=None):
        body = [(11, name), (55, "VTI"), (54, 1), (38, 1), (40, 1), (60, now)] if msg_type == "D" else [(148, name)]
        body = body if msg_type != "B" else [(148, name), (33, [[(58, "line")]])]
        self.carry(self.session.send([Outgoing(msg_type, body)], now), now, dies, name)

    def hear(self, data, now, dies=None):
        if self.session is None:
            return
        for frame in self.framer.feed(data):
            if self.session is not None:
                self.carry(self.session.receive(frame, now), now, dies)

    def wake(self, now):
        if self.session is not None:
            self.carry(self.session.tick(now), now)

    def carry(self, actions, now, dies=None, name=None):
        """Commit, then write; die before or in between."""
        if dies == "before":
            self.stop()
            return
        out = []
        for action in actions:
            if isinstance(action, Send):
                key = (action.generation, action.entry.number)
                assert key not in self.journal, "a number was used twice"
                self.journal[key] = action.entry
                out.append(action.entry.data)
                if name is not None:
                    self.sent.append(name)
            elif isinstance(action, Received):
                if action.deliver:
                    self.delivered.append(action.message.text(11) or action.message.text(148))
            elif isinstance(action, Transmit):
                out.append(action.data)
            elif isinstance(action, Resend):
                out += self.again(action, now)
            else:
                self.notices.append(action)
        self.numbers = self.session.numbers
        if dies == "after":
            self.stop()
            return
        self.out += b"".join(out)
        if any(isinstance(action, Close) for action in actions):
            self.session = None

    def again(self, request, now):
        resender = self.session.resender(request, now)
        numbers = range(request.first, request.last + 1)
        entries = [self.journal[request.generation, n] for n in numbers if (request.generation, n) in self.journal]
        # Page by page, as the transport does.
        actions = [action for at in range(0, len(entries), 3) for action in resender.page(entries[at : at + 3])]
        for action in [*actions, *resender.finish()]:
            if isinstance(action, GapFilled):
                self.gap_filled += [name_of(entry) for entry in action.entries]
            else:
                yield action.data


def name_of(entry):
    return entry.data.split(b"\x0111=")[1].split(b"\x01")[0].decode()


class World:
    """A client, a broker, and the wire between them."""

    def __init__(self, ages=None):
        options = {"ages": ages} if ages is not None else {}
        self.client = Party(SessionConfig("CLIENT", "BROKER", Role.INITIATOR, **options))
        self.broker = Party(SessionConfig("BROKER", "CLIENT", Role.ACCEPTOR, **options))
        self.now = START
        self.count = 0

    @property
    def both(self):
        return (self.client, self.broker)

    def connect(self):
        for party in self.both:
            party.stop()
        self.broker.start(self.now)
        self.client.start(self.now)

    def cut(self):
        for party in self.both:
            party.stop()

    def carry(self, sender, size, dies=None):
        """Take up to `size` bytes from one side to the other."""
        receiver = self.broker if sender is self.client else self.client
        data = bytes(sender.out[:size])
        del sender.out[:size]
        if data:
            receiver.hear(data, self.now, dies)

    def garble(self, sender, at):
        """Damage a byte on the wire, one a message: CheckSum finds any one, but two may cancel out."""
        out = sender.out
        if not out:
            return
        at %= len(out)
        start = max(out.rfind(b"8=FIX", 0, at), 0)
        end = out.find(b"8=FIX", at + 1)
        if 255 not in out[start : end if end > 0 else len(out)]:
            out[at] = 255

    def flow(self, rounds=400):
        """Let everything flow until nothing does."""
        for _ in range(rounds):
            if not (self.client.out or self.broker.out):
                return
            self.carry(self.client, 10**9)
            self.carry(self.broker, 10**9)
        raise AssertionError("the two never come to rest")

    def say(self, party, msg_type, dies=None):
        self.count += 1
        if party.up:
            party.say(msg_type, f"m{self.count}", self.now, dies)

    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)
        for party in self.both:
            party.wake(self.now)

    def come_to_rest(self):
        """Connect again and let both find out what they missed; a gap shows itself at the next message."""
        self.cut()
        self.connect()
        self.flow()
        for party in self.both:
            assert party.up, party.notices[-3:]
            self.say(party, "B")
        self.flow()
