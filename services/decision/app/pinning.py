"""First stage of a run: writes down what it rests on.

The policies of all its accounts, asked for once; what is known of the instruments; the risk model. All of it is kept
by hash, in one transaction. While policy does not answer, the run waits and says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.decision.app.changes import Changes
from services.decision.app.events import run_event
from services.decision.app.leases import held
from services.decision.app.ports.policy import EffectivePolicies, PolicyClient
from services.decision.app.ports.runs import Pins
from services.decision.app.ports.sessions import Begin, Read
from services.decision.app.ports.solving import Solver
from services.decision.app.ports.tracing import Tracing
from services.decision.app.tax_standing import StandingApp
from services.decision.domain.book.account import exchange_day
from services.decision.domain.prices import PriceHistoryId, PriceSetId
from services.decision.domain.recorded import InstrumentList, recorded_bytes, risk_model_bytes
from services.decision.domain.run import Run, backoff
from services.decision.domain.tax.laws import law_book
from services.kernel.canonical import content_hash
from services.kernel.clock import Clock
from services.kernel.errors import Conflict, Fact


@dataclass(frozen=True, slots=True)
class Pinning:
    """Pins one run at a time. A claim that is not renewed for `lease` is free for another worker."""

    begin: Begin
    read: Read
    clock: Clock
    policy: PolicyClient
    solver: Solver
    tracing: Tracing
    changes: Changes
    lease: timedelta
    standing: StandingApp

    async def step(self) -> bool:
        """Pin the next run, and return whether there was one that could be pinned."""
        now = self.clock.now()
        async with self.begin() as session:
            run = await session.runs.claim_pin(now, now + self.lease)
        if run is None:
            return False
        with self.tracing.continued(
            run.trace_parent, "decision.pin", evenkeel__run=run.run_id, evenkeel__attempt=run.pin_attempts
        ):
            return await self._pin(run)

    async def _pin(self, run: Run) -> bool:
        try:
            async with held(lambda: self._hold(run, self.lease), self.lease):
                pins, bodies = await self._pins(run)
            async with self.begin() as session:
                await session.contents.put(bodies)
                await session.runs.pin(run, pins, self.clock.now())
                await session.comparisons.pin(run.run_id, pins.sides)
                await session.emit(
                    [
                        run_event(
                            "pinned",
                            run,
                            {
                                "policy_count": len(pins.version_hashes),
                                "instruments_hash": pins.instruments_hash,
                                "risk_model_hash": pins.risk_model_hash,
                                "compared_count": len(pins.sides),
                            },
                        )
                    ]
                )
        except Conflict:
            # Another worker has the run, or it was canceled meanwhile: nothing was written.
            return True
        except Fact as fact:
            wait = backoff(run.pin_attempts)
            async with self.begin() as session:
                await session.runs.note(run.run_id, f"waits to be pinned: {fact.message}")
            await self._hold(run, wait)
            self.changes.tell()
            return False
        self.changes.tell()
        return True

    async def _hold(self, run: Run, lease: timedelta) -> None:
        async with self.begin() as session:
            await session.runs.hold_pin(run, self.clock.now() + lease)

    async def _pins(self, run: Run) -> tuple[Pins, Mapping[str, bytes]]:
        async with self.read() as session:
            account_ids = await session.runs.account_ids(run.run_id)
        # A tax year may have begun since their ledgers were worked out.
        await self.standing.bring_to(account_ids, exchange_day(run.as_of_time))
        async with self.read() as session:
            prices = await session.prices.price_set(PriceSetId(run.price_set_id))
            if prices is None:
                raise RuntimeError(f"run {run.run_id} is pinned to prices {run.price_set_id}, which are not stored")
            known = await session.books.instruments(prices.quotes.keys())
            risk_model_hash = await session.runs.risk_model_hash(run.price_history_id, run.engine)
            laws = law_book(await session.laws.versions())
        policies: EffectivePolicies = await self.policy.resolve(account_ids, run.as_of_time)
        listed = tuple(known[each] for each in sorted(known))
        instruments = recorded_bytes(InstrumentList(listed, laws.reviewed_years(), laws.approved_amounts()))
        bodies: dict[str, bytes] = {str(name): body for name, body in policies.documents.items()}
        bodies[content_hash(instruments)] = instruments
        if risk_model_hash is None:
            risk_model = await self._risk_model(run)
            risk_model_hash = content_hash(risk_model)
            bodies[risk_model_hash] = risk_model
        pins = Pins(
            content_hash(instruments), risk_model_hash, policies.version_hashes, policies.policy_of, policies.sides
        )
        return pins, bodies

    async def _risk_model(self, run: Run) -> bytes:
        async with self.read() as session:
            history = await session.prices.history(PriceHistoryId(run.price_history_id))
        if history is None:
            raise RuntimeError(f"run {run.run_id} is pinned to history {run.price_history_id}, which is not stored")
        return risk_model_bytes(await self.solver.risk_model(history))
