"""The use cases of emergency stops: one person stops, another lifts."""

from dataclasses import dataclass

from services.kernel.clock import Clock
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.app.checking import existing
from services.policy.app.events import stop_event
from services.policy.app.ports import Begin, NumberedStop, PolicyWriter, Read
from services.policy.domain.document import Document, SafetyNets
from services.policy.domain.errors import StopNotFound
from services.policy.domain.notices import NoticeKind, noticed_version
from services.policy.domain.stops import Stop, stopped

PAUSE = Document(safety=SafetyNets(paused=True))
"""What a stop says that says nothing else."""


@dataclass(frozen=True, slots=True)
class StopApp:
    """Stopping and lifting. `clock` tells when that is recorded, `market_clock` from when on it holds."""

    read: Read
    begin: Begin
    clock: Clock
    market_clock: Clock

    async def create_stop(
        self, stop_id: ChangeId, node_id: PolicyNodeId, document: Document | None, *, reason: str, by: str
    ) -> Stop:
        """Stop or slow everything at and under a node from now on; pauses it when `document` is None.

        Raises:
            NodeNotFound: The node does not exist.
            StopNotSafer: `document` could loosen something.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            node = await existing(policies, node_id)
            stop = stopped(
                stop_id,
                node_id,
                PAUSE if document is None else document,
                reason=reason,
                actor=by,
                at=self.clock.now(),
                market_time=self.market_clock.now(),
            )
            await policies.add_stop(stop)
            await policies.emit(stop_event("created", stop, node))
            await self._note(policies, NoticeKind.STOPPED, stop)
        return stop

    async def lift_stop(self, stop_id: ChangeId, *, reason: str, by: str) -> Stop:
        """Lift a stop.

        Raises:
            StopNotFound: It does not exist.
            SelfResume: `by` created it.
            StopState: It is lifted already.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            stop = await policies.stop(stop_id)
            if stop is None:
                raise StopNotFound(f"stop {stop_id} does not exist", stop_id=stop_id)
            lifted = stop.lifted(by, reason=reason, at=self.clock.now(), market_time=self.market_clock.now())
            await policies.lift(lifted)
            await policies.emit(stop_event("lifted", lifted, await existing(policies, stop.node_id)))
            await self._note(policies, NoticeKind.LIFTED, lifted)
        return lifted

    async def list_stops(
        self, *, node_id: PolicyNodeId | None, holding_only: bool, before: int | None, limit: int
    ) -> list[NumberedStop]:
        """Return up to `limit` stops with numbers below `before`, newest first."""
        async with self.read() as policies:
            return await policies.stops(node_id=node_id, holding_only=holding_only, before=before, limit=limit)

    async def _note(self, policies: PolicyWriter, kind: NoticeKind, stop: Stop) -> None:
        await policies.add_notice(
            noticed_version(
                kind,
                stop.node_id,
                stop.version_id,
                stop.stop_id,
                stop.lift_time or stop.effective_time,
                last=await policies.last_position(),
                at=self.clock.now(),
            )
        )
