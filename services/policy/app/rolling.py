"""The use cases of rollouts: further, back, and what decision reports about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.kernel.clock import Clock
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.app.checking import check_from_then_on, existing, place_of
from services.policy.app.events import rollout_event, version_event
from services.policy.app.ports import Begin, NumberedRollout, PolicyReader, PolicyWriter, Read
from services.policy.domain.changes import Change
from services.policy.domain.errors import RolloutNotFound
from services.policy.domain.history import following
from services.policy.domain.notices import NoticeKind, noticed, noticed_version
from services.policy.domain.rollout import (
    OPEN,
    STOP_RULE_ACTOR,
    Comparison,
    Reading,
    Rollout,
    Stage,
    begun,
    readings,
)

_NOTICES = {
    Stage.SHADOW: NoticeKind.SHADOWED,
    Stage.CANARY: NoticeKind.CANARIED,
    Stage.ROLLED_BACK: NoticeKind.ROLLED_BACK,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A rollout, what its stop rules see, and how many comparisons were reported."""

    rollout: Rollout
    readings: tuple[Reading, ...]
    comparison_count: int


@dataclass(frozen=True, slots=True)
class RolloutApp:
    """Leading rollouts. `clock` tells when steps are recorded, `market_clock` from when on accounts are concerned."""

    read: Read
    begin: Begin
    clock: Clock
    market_clock: Clock

    async def advance(self, change_id: ChangeId, *, etag: str, reason: str, by: str) -> Rollout:
        """Lead a rollout to its next stage; the last makes the version its node's next.

        Raises:
            RolloutNotFound: The change has no rollout.
            VersionConflict: It is not the rollout that `etag` was read from.
            SelfApproval: `by` wrote the change.
            RolloutState: It is final.
            RolloutEvidenceMissing: A stop rule has not seen a full window, or is broken.
            PolicyContradiction: It could not work any more, or something below could not.
            GuardrailExceeded: A guardrail above forbids a value by now.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            rollout = await _found(policies, change_id)
            rollout.check_etag(etag)
            now, market_time = self.clock.now(), self.market_clock.now()
            seen = await _readings(policies, rollout)
            moved = rollout.advanced(by, reason=reason, at=now, market_time=market_time, seen=seen)
            change = await _change_of(policies, rollout)
            # What is above and below may have changed since it was approved.
            place = await place_of(policies, rollout.node_id, market_time, change.document)
            place.check(change.document)
            await check_from_then_on(policies, place, change.document)
            await policies.add_step(moved)
            await policies.emit(rollout_event(moved, place.node, seen))
            if moved.stage is Stage.ALL:
                await self._activate(policies, change, moved)
            else:
                await _note(policies, moved)
        return moved

    async def roll_back(self, change_id: ChangeId, *, reason: str, by: str) -> Rollout:
        """Take a rollout back: every account has the old rules from now on.

        Raises:
            RolloutNotFound: The change has no rollout.
            RolloutState: It is final.
        """
        async with self.begin() as policies:
            await policies.decide_alone()
            return await self._rolled_back(policies, await _found(policies, change_id), by, reason)

    async def get(self, change_id: ChangeId) -> Seen:
        """Return a rollout and what its stop rules see.

        Raises:
            RolloutNotFound: The change has no rollout.
        """
        async with self.read() as policies:
            rollout = await _found(policies, change_id)
            count = await policies.comparison_count(change_id)
            return Seen(rollout, await _readings(policies, rollout), count)

    async def list_rollouts(
        self, *, node_id: PolicyNodeId | None, open_only: bool, before: int | None, limit: int
    ) -> list[NumberedRollout]:
        """Return up to `limit` rollouts with numbers below `before`, newest first."""
        async with self.read() as policies:
            return await policies.rollouts(node_id=node_id, open_only=open_only, before=before, limit=limit)

    async def report(self, found: Mapping[ChangeId, Sequence[Comparison]]) -> int:
        """Keep comparisons by change, take back rollouts whose stop rule is broken, and return how many were new.

        Those of rollouts that are final, or that there are none of, are dropped: nothing depends on them any more.
        """
        taken = 0
        async with self.begin() as policies:
            await policies.decide_alone()
            for change_id, comparisons in sorted(found.items()):
                rollout = await policies.rollout(change_id)
                if rollout is None or rollout.stage not in OPEN:
                    continue
                taken += await policies.add_comparisons(change_id, comparisons)
                broken = [each for each in await _readings(policies, rollout) if each.broken]
                if broken:
                    await self._rolled_back(policies, rollout, STOP_RULE_ACTOR, broken[0].description)
        return taken

    async def _rolled_back(self, policies: PolicyWriter, rollout: Rollout, by: str, reason: str) -> Rollout:
        moved = rollout.rolled_back(by, reason=reason, at=self.clock.now(), market_time=self.market_clock.now())
        change = await _change_of(policies, rollout)
        await policies.add_step(moved)
        await policies.replace_change(change.rolled_back())
        seen = await _readings(policies, rollout)
        await policies.emit(rollout_event(moved, await existing(policies, rollout.node_id), seen))
        await _note(policies, moved)
        return moved

    async def _activate(self, policies: PolicyWriter, change: Change, moved: Rollout) -> None:
        now = self.clock.now()
        effective_time = moved.steps[-1].effective_time
        approved = change.rolled_out(effective_time)
        history = await policies.history(change.node_id)
        activation = following(
            history,
            node_id=change.node_id,
            version_id=change.version_id,
            change_id=change.change_id,
            effective_time=effective_time,
            recorded_time=now,
        )
        await policies.replace_change(approved)
        await policies.add_activation(activation, announced=True)
        node = await existing(policies, change.node_id)
        before = next((each for each in history if each.sequence == activation.follows), None)
        if before is not None:
            await policies.emit(version_event("superseded", before, node))
        await policies.emit(version_event("activated", activation, node))
        await policies.add_notice(
            noticed(NoticeKind.ACTIVATED, activation, last=await policies.last_position(), at=now)
        )


async def begin_rollout(policies: PolicyWriter, change: Change, market_time: datetime) -> None:
    """Begin, in shadow, the rollout of a change that was approved just now.

    Raises:
        RolloutOpen: Its node has another that is not final.
    """
    if change.rollout is None or change.approver is None or change.decided_time is None:
        raise ValueError(f"change {change.change_id} is not approved, or has no rollout plan")
    rollout = begun(
        change.change_id,
        change.node_id,
        change.version_id,
        change.rollout,
        author=change.author,
        by=change.approver,
        at=change.decided_time,
        market_time=market_time,
    )
    await policies.add_rollout(rollout)
    await policies.emit(rollout_event(rollout, await existing(policies, change.node_id), ()))
    await _note(policies, rollout)


async def _found(policies: PolicyReader, change_id: ChangeId) -> Rollout:
    rollout = await policies.rollout(change_id)
    if rollout is None:
        raise RolloutNotFound(f"change {change_id} has no rollout", change_id=change_id)
    return rollout


async def _change_of(policies: PolicyReader, rollout: Rollout) -> Change:
    change = await policies.change(rollout.change_id)
    if change is None:
        raise RuntimeError(f"the change of rollout {rollout.change_id} is gone")
    return change


async def _readings(policies: PolicyReader, rollout: Rollout) -> tuple[Reading, ...]:
    window = max(rule.window for rule in rollout.plan.stop_rules)
    return readings(rollout.plan.stop_rules, await policies.comparisons(rollout.change_id, window))


async def _note(policies: PolicyWriter, rollout: Rollout) -> None:
    step = rollout.steps[-1]
    await policies.add_notice(
        noticed_version(
            _NOTICES[step.stage],
            rollout.node_id,
            rollout.version_id,
            rollout.change_id,
            step.effective_time,
            last=await policies.last_position(),
            at=step.recorded_time,
        )
    )
