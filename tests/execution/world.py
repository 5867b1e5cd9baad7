"""Execution put together for a test: its use cases over a ledger, a sandbox venue, and clocks that stand still."""

import inspect
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from evenkeel.common.v1.values_pb2 import Signature
from evenkeel.decision.v1.signed_plan_pb2 import SignedPlan
from services.execution.api.plans import PlanReader
from services.execution.app.ports import OrderFilter
from services.execution.app.venue_port import MarketSetting
from services.execution.config import ExecutionSettings
from services.execution.domain.words import ReferencePrice
from services.execution.main import build_app
from services.execution.venues.sandbox.venue import SandboxVenue
from services.kernel.clock import FixedClock
from services.kernel.errors import Unreachable
from services.kernel.signing import sign
from tests.execution.builders import NOON, VERSION
from tests.execution.messages import payload_message

KEY_ID = "decision-test"
# The same in every test process, so that databases and logs can be compared.
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
READER = PlanReader()


class PolicyDown(Unreachable):
    reason = "PEER_UNREACHABLE"


@dataclass
class FakePolicies:
    """Policy, as a set of versions in force."""

    versions: set[str] = field(default_factory=lambda: {VERSION})
    down: bool = False
    asked: int = 0
    against: dict = field(default_factory=dict)
    # The effective policies named when it was asked last.
    effective: dict = field(default_factory=dict)

    async def verdicts(self, accounts, at, effective):
        self.effective = dict(effective)
        if self.down:
            raise PolicyDown("policy does not answer")
        return {each: self.against[each] for each in accounts if each in self.against}

    async def in_force(self, hashes, at):
        self.asked += 1
        if self.down:
            raise PolicyDown("policy does not answer")
        return frozenset(hashes) & frozenset(self.versions)


def signed(plan, key=PRIVATE_KEY, key_id=KEY_ID):
    payload = payload_message(plan).SerializeToString(deterministic=True)
    return payload, sign(key, payload, key_id)


def a_submission(plan, key=PRIVATE_KEY):
    payload, signature = signed(plan, key)
    return submission_of(payload, signature)


def submission_of(payload, signature):
    return READER.submission_of(signed_plan(payload, signature))


def signed_plan(payload, signature):
    return SignedPlan(payload=payload, signature=Signature(key_id=signature.key_id, value=signature.value))


def write_public_key(file, key):
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(key.public_key().public_bytes(encoding, form))


def settings_for(values, keys_directory, **changed):
    """Settings of a test: `values` say where the database is, `changed` what the test is about."""
    keys_directory.mkdir(exist_ok=True)
    write_public_key(keys_directory / f"{KEY_ID}.pem", PRIVATE_KEY)
    given = {
        "plan_keys_directory": keys_directory,
        "policy_address": "unused:1",
        "block_quiet_s": 0,
        "resolve_after_s": 0,
        "sandbox_latency_s": 0,
    }
    return ExecutionSettings.from_environment(**{**values, **given, **changed})


class Killed(BaseException):
    """The process ends here, as by SIGKILL: nobody catches it, and what was not committed is gone."""


# What changes something, or asks the venue. Ending at a read is ending at the change before it.
CHANGING = (
    "add",
    "save",
    "move",
    "emit",
    "claim",
    "put",
    "remove",
    "append",
    "submit",
    "cancel",
    "query",
    "reports",
    "instruct",
)


class Points:
    """Counts what the process does to its ledger and its venue, and ends it at one of these points."""

    def __init__(self):
        self.passed = 0
        self.kill_at = None

    def passing(self):
        self.passed += 1
        if self.passed == self.kill_at:
            raise Killed(f"killed at point {self.passed}")

    def each_call_of(self, target):
        return _Watched(target, self)

    def begin(self, begin):
        """Return `begin` with points around every change, before the commit and after it."""

        @asynccontextmanager
        async def watched():
            async with begin() as ledger:
                before = self.passed
                yield _Watched(ledger, self)
                wrote = self.passed > before
                if wrote:
                    self.passing()
            if wrote:
                self.passing()

        return watched


class _Watched:
    """Anything whose calls are points: before it does something, and after, when only we do not know yet."""

    def __init__(self, target, points):
        self._target = target
        self._points = points

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not inspect.iscoroutinefunction(found) or not name.startswith(CHANGING):
            return found

        async def called(*values, **named):
            self._points.passing()
            answer = await found(*values, **named)
            self._points.passing()
            return answer

        return called


class World:
    """One execution service, without its server."""

    def __init__(self, settings, begin, begin_book):
        self.settings = settings
        self.begin = begin
        self.begin_book = begin_book
        self.clock = FixedClock(NOON)
        self.market_clock = FixedClock(NOON)
        self.policies = FakePolicies()
        self.points = Points()
        self.start()

    def start(self):
        """Start the process (again): nothing is remembered but what is stored."""
        self.venue = SandboxVenue(
            begin=self.begin_book,
            clock=self.clock,
            latency=timedelta(seconds=self.settings.sandbox_latency_s),
            answers_lost_every=self.settings.sandbox_answers_lost_every,
        )
        self.app = build_app(
            self.settings,
            self.points.begin(self.begin),
            self.points.each_call_of(self.venue),
            self.policies,
            clock=self.clock,
            market_clock=self.market_clock,
        )

    async def prices(self, at=NOON, currency="USD", **prices):
        await self.app.trading.ingest_prices(
            [ReferencePrice(name, Decimal(str(price)), currency, at, "test") for name, price in prices.items()]
        )

    async def market(self, at=NOON, spread_bps=0, fee_bps=0, share=1, seed=1, currency="USD", **prices):
        """Load reference prices and a market that agree."""
        await self.prices(at, currency, **prices)
        setting = MarketSetting(
            currency, Decimal(str(spread_bps)), Decimal(str(fee_bps)), seed, Decimal(str(share)), at
        )
        await self.venue.load_market(setting, {name: Decimal(str(price)) for name, price in prices.items()})

    async def submit(self, *plans):
        return await self.app.intake.submit_plans([a_submission(plan) for plan in plans])

    async def run(self, steps=200):
        """Work until nothing is left to do."""
        for _ in range(steps):
            if await self.app.step() == 0:
                return
            self.clock.advance(timedelta(milliseconds=10))
        raise AssertionError(f"not done after {steps} steps")

    async def orders(self, **which):
        return await self.app.queries.list_orders(OrderFilter(**which), "", 10_000)

    async def order(self, instrument, account="acc-1"):
        (found,) = [each for each in await self.orders(account_id=account) if each.instrument_id == instrument]
        return found

    async def blocks(self):
        return [
            (await self.app.queries.get_block(record.block_id))
            for record in await self.app.queries.list_blocks(None, "", 1000)
        ]

    async def reports(self):
        return await self.app.queries.plan_reports(0, 100_000)

    async def events(self):
        async with self.begin() as ledger:
            return await events_of(ledger)


async def events_of(ledger):
    """What audit will be told, in order: kind, subjects and data."""
    if hasattr(ledger, "events"):
        return list(ledger.events)
    found = await ledger._connection.execute(text("SELECT kind, subjects, body FROM execution.outbox ORDER BY seq"))
    return [(row.kind, row.subjects, json.loads(row.body)) for row in found]


def request_id():
    return str(uuid4())
