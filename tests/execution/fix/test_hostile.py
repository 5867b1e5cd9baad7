"""Whatever bytes come: no exception escapes, nothing grows without bound, and the session stays true to its numbers."""

import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.execution.fix.protocol.actions import Received, Resend, Send
from services.execution.fix.protocol.codec import Undecodable, decode
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.dictionary import fix_4_4, fix_5_0_sp2
from services.execution.fix.protocol.framer import Framer
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.state import State
from services.execution.fix.protocol.store import Numbers
from services.execution.fix.protocol.validation import validate
from tests.execution.fix.hostile import SEEDS, damaged
from tests.execution.fix.wire import fix

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
BODY_MAX = 4096
CONFIGS = [
    SessionConfig("US", "THEM", Role.ACCEPTOR, waiting_max=100),
    SessionConfig("US", "THEM", Role.INITIATOR, waiting_max=100, user_defined=True),
    SessionConfig("US", "THEM", Role.ACCEPTOR, waiting_max=100, supported=frozenset("D")),
]


class Victim:
    """A session over a framer, as a connection has them; a new connection when one is over."""

    def __init__(self, config):
        self.config, self.numbers = config, Numbers(0, 1, 1, NOW)
        self.connections, self.taken = 0, 0
        self.connect()

    def connect(self):
        self.connections += 1
        self.session, self.framer = Session(self.config, self.numbers, NOW), Framer(BODY_MAX)
        if self.config.role is Role.INITIATOR:
            self.session.connect(NOW)
        # Most are hurt once they are logged on.
        logon = f"8=FIX.4.4|35=A|34={self.numbers.next_in}|49=THEM|52=20261130-10:00:00|56=US|98=0|108=30"
        self.hear(fix(logon))
        if self.session.state is State.ACTIVE:
            self.session.send([Outgoing("B", [(148, "news")])], NOW)

    def hear(self, data):
        for frame in self.framer.feed(data):
            before = self.session.numbers
            actions = self.session.receive(frame, NOW)
            self.check(before, actions)
            self.taken += 1
        assert self.framer.held <= BODY_MAX + 100
        assert len(self.session._waiting) <= self.config.waiting_max

    def check(self, before, actions):
        after = self.session.numbers
        if after.generation == before.generation:
            sent = [each.entry.number for each in actions if isinstance(each, Send)]
            received = [each.entry.number for each in actions if isinstance(each, Received)]
            # Every number once and in order; nothing the session says is garbled or against its own dictionary.
            assert sent == list(range(before.next_out, after.next_out))
            assert received == sorted(set(received))
            assert all(before.next_in <= number < after.next_in for number in received)
        for each in actions:
            if isinstance(each, Send):
                (frame,) = Framer().feed(each.entry.data)
                decode(frame, self.config.dictionary.data_tags)
            elif isinstance(each, Resend):
                assert 1 <= each.first <= each.last < after.next_out

    def revive(self):
        # Wild numbers stay: the next connection goes on from them, as the store would have it.
        self.numbers = self.session.numbers
        if self.session.state is not State.ACTIVE or self.numbers.next_in > 10**12:
            if self.numbers.next_in > 10**12:
                self.numbers = Numbers(self.numbers.generation + 1, 1, 1, NOW)
            self.connect()


@given(st.binary(max_size=400), st.sampled_from(CONFIGS))
def test_any_bytes(data, config):
    victim = Victim(config)
    victim.hear(data)
    victim.hear(b"\x01" + fix(SEEDS[2]))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(CONFIGS))
def test_damaged_messages(seed, config):
    chance = random.Random(seed)
    victim = Victim(config)
    for _ in range(8):
        victim.hear(damaged(chance))
        victim.revive()


@given(st.lists(st.tuples(st.integers(0, 10**10), st.binary(max_size=20)), max_size=20), st.booleans())
def test_any_fields(fields, newer):
    dictionary = fix_5_0_sp2() if newer else fix_4_4()
    body = b"".join(b"%d=%b\x01" % field for field in [(35, b"D"), *fields])
    try:
        message = decode(b"8=FIX.4.4\x019=1\x01" + body + b"10=000\x01", dictionary.data_tags)
    except Undecodable:
        return
    validate(message, dictionary)


def test_a_value_of_any_length_is_checked_in_no_time():
    for field in fix_4_4().fields.values():
        for value in (b"9" * 200_000, b"A " * 100_000, b"20261130-" * 20_000):
            field.wrong(value)


@pytest.mark.chaos
def test_a_million_damaged_messages():
    messages, chance = 1_000_000, random.Random(20261128)
    victims = [Victim(config) for config in CONFIGS]
    for number in range(messages):
        victim = victims[number % len(victims)]
        victim.hear(damaged(chance))
        victim.revive()
    taken = sum(victim.taken for victim in victims)
    connections = sum(victim.connections for victim in victims)
    print(f"\n{messages} damaged messages, {taken} frames and pieces, {connections} connections; no exception")  # noqa: T201 - counts


@pytest.mark.chaos
@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this machine")
def test_fuzzing_guided_by_coverage_finds_nothing():
    inputs = 200_000
    command = [sys.executable, "-m", "tests.execution.fix.fuzz", str(inputs), "20261128"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    (last,) = [line for line in done.stderr.splitlines() if "DONE" in line]
    print(f"\n{inputs} inputs, each as it is and mended; no exception: {last}")  # noqa: T201 - counts


@pytest.mark.chaos
def test_time_may_pass_in_any_way():
    chance = random.Random(7)
    ticks = 200_000
    victim, now = Victim(CONFIGS[0]), NOW
    for _ in range(ticks):
        now += timedelta(seconds=chance.choice([0, 0.001, 1, 29, 30, 31, 36, 3600]))
        due = victim.session.due()
        actions = victim.session.tick(now)
        if due is None or due > now:
            assert actions == []
        if victim.session.state is State.CLOSED:
            victim = Victim(CONFIGS[0])
            now = NOW
    print(f"\n{ticks} ticks")  # noqa: T201 - counts
