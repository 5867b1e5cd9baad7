"""Shows each checkpoint to witnesses outside our administration, and believes them more than our own storage.

Appends never wait for witnesses: they are shown the newest checkpoint beside the work. A checkpoint is *witnessed* when
enough of them have signed it; how old the newest such is, is a metric with an alarm.

A witness that has seen more than we have, or another root of the same size, has seen a history that our storage lost
or changed. Signing on would fork the log. So before this process signs anything, the witnesses are asked; and one that
says so later stops the log just the same.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.audit.app.ports import LogReader
from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint
from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.errors import LogBehindWitness, WitnessSilent
from services.audit.domain.witness import AddCheckpoint, Status
from services.kernel.clock import Clock

# How long a witness's signature of a checkpoint counts as fresh; then it is asked to sign the same one again.
REFRESH = timedelta(seconds=10)
# How often a witness is asked that said that it holds another size than we thought.
_ATTEMPTS_MAX = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """A witness's signature line, and when it says that it saw the checkpoint, in seconds since 1970."""

    line: str
    time_s: int


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    """What a witness answers: its signature, the size that it holds, or why not."""

    status: Status
    seen: Seen | None = None
    held_size: int | None = None
    why: str = ""


class Witness(Protocol):
    """Somebody who sees our checkpoints."""

    key: WitnessKey

    async def add(self, request: AddCheckpoint) -> WitnessAnswer:
        """Send a checkpoint, and return what the witness answers.

        Raises:
            WitnessSilent: It does not answer.
        """
        ...


class CosignatureStore(Protocol):
    """Keeps what witnesses signed."""

    async def add(self, size: int, witness: str, seen: Seen) -> None:
        """Store what a witness signed of the checkpoint of `size`. Safe to repeat."""
        ...

    async def newest(self, witnesses: Sequence[str], needed: int) -> tuple[int, Mapping[str, Seen]] | None:
        """Return the largest size that `needed` of `witnesses` signed, and their signatures; None before the first."""
        ...


class Proves(Protocol):
    """Proves that an earlier size of the log is the beginning of a later one."""

    async def proof_between(self, first: int, second: Checkpoint) -> tuple[bytes, ...]:
        """Return the consistency proof from `first` entries to the checkpoint `second`."""
        ...


@dataclass(slots=True)
class Standing:
    """How one witness stands to the log.

    Attributes:
        key: Whose.
        held_size: What it holds, as far as we know.
        seen_time: When it last signed.
        trouble: What is wrong with it; empty when nothing.
    """

    key: WitnessKey
    held_size: int = 0
    seen_time: datetime | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class WitnessObserver:
    """Is told how the witnesses stand: `aged` with the age in seconds, `troubled` with a witness's name and why."""

    aged: Callable[[float], None]
    troubled: Callable[[str, str], None] = field(default=lambda _name, _why: None)


class Witnesses:
    """Shows one log's checkpoints to its witnesses."""

    def __init__(
        self,
        *,
        witnesses: Sequence[Witness],
        needed: int,
        log: LogReader,
        proves: Proves,
        store: CosignatureStore,
        clock: Clock,
        interval_s: float,
        observer: WitnessObserver,
        writing: Callable[[], bool],
        on_behind: Callable[[LogBehindWitness], None],
    ) -> None:
        """Show checkpoints of `log` to `witnesses`, of whom `needed` make a checkpoint witnessed.

        Args:
            witnesses: Whom to show them to.
            needed: 1 to as many as there are; 0 when there are none.
            log: Tells the newest checkpoint.
            proves: Proves that it continues what a witness holds.
            store: Keeps what they sign.
            clock: Tells how old the newest witnessed checkpoint is.
            interval_s: How often to show the newest one.
            observer: Told how old that is, and what is wrong.
            writing: Says whether this process holds the log; only then does it show anything.
            on_behind: Told when a witness has seen what the log does not have.
        """
        if not 0 <= needed <= len(witnesses) or (witnesses and not needed):
            raise ValueError(f"of {len(witnesses)} witnesses 1 to {len(witnesses)} are needed, not {needed}")
        self._witnesses = tuple(witnesses)
        self.needed = needed
        self._log = log
        self._proves = proves
        self._store = store
        self._clock = clock
        self._interval_s = interval_s
        self._observer = observer
        self._writing = writing
        self._on_behind = on_behind
        self.standings = {each.key.name: Standing(each.key) for each in witnesses}
        self._measured_since: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Show the newest checkpoint every so often until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                if self._writing():
                    await self.show()
                    await self._measure()
                await asyncio.wait([stopping], timeout=self._interval_s)
        finally:
            stopping.cancel()

    async def show(self) -> int:
        """Show the newest checkpoint to every witness, and return how many signed it."""
        signed = await self._log.checkpoint()
        if signed is None:
            return 0
        answers = await asyncio.gather(*(self._shown(each, signed) for each in self._witnesses))
        return sum(answers)

    async def check(self, signed: SignedCheckpoint) -> int:
        """Ask every witness whether it has seen more than `signed`, and return how many answered.

        Raises:
            LogBehindWitness: One has.
        """

        async def asked(witness: Witness) -> bool:
            try:
                await self._add(witness, signed)
            except WitnessSilent as silent:
                self._trouble(witness.key, silent.message)
                return False
            return True

        return sum(await asyncio.gather(*map(asked, self._witnesses)))

    async def newest(self) -> tuple[SignedCheckpoint, Mapping[str, Seen]] | None:
        """Return the newest checkpoint that enough witnesses signed, and their signatures; None before the first."""
        found = await self._store.newest(list(self.standings), self.needed) if self.needed else None
        if found is None:
            return None
        size, seen = found
        signed = await self._log.checkpoint(size)
        return None if signed is None else (signed, seen)

    async def age_s(self) -> float | None:
        """Return how old the newest witnessed checkpoint is, in seconds: since the last of those needed saw it.

        None before the first. A log that does not grow is shown again, and so does not age.
        """
        newest = await self.newest()
        if newest is None:
            return None
        times = sorted((standing.seen_time for standing in self.standings.values() if standing.seen_time), reverse=True)
        if len(times) >= self.needed:
            return max(0.0, (self._clock.now() - times[self.needed - 1]).total_seconds())
        latest = sorted((seen.time_s for seen in newest[1].values()), reverse=True)[self.needed - 1]
        return max(0.0, self._clock.now().timestamp() - latest)

    async def _shown(self, witness: Witness, signed: SignedCheckpoint) -> bool:
        standing = self.standings[witness.key.name]
        fresh = standing.seen_time is not None and self._clock.now() - standing.seen_time < REFRESH
        if fresh and standing.held_size == signed.checkpoint.size:
            return True
        try:
            seen = await self._add(witness, signed)
        except WitnessSilent as silent:
            self._trouble(witness.key, silent.message)
            return False
        except LogBehindWitness as behind:
            self._trouble(witness.key, behind.message)
            self._on_behind(behind)
            return False
        if seen is None:
            return False
        await self._store.add(signed.checkpoint.size, witness.key.name, seen)
        standing.seen_time = self._clock.now()
        standing.trouble = ""
        return True

    async def _add(self, witness: Witness, signed: SignedCheckpoint) -> Seen | None:
        """Send `signed`, learning on the way what the witness holds; return its signature, None when it refuses.

        Raises:
            LogBehindWitness: It has seen what the log does not have.
            WitnessSilent: It does not answer.
        """
        standing = self.standings[witness.key.name]
        checkpoint = signed.checkpoint
        answer: WitnessAnswer | None = None
        for _ in range(_ATTEMPTS_MAX):
            old = min(standing.held_size, checkpoint.size)
            proof = () if old in (0, checkpoint.size) else await self._proves.proof_between(old, checkpoint)
            answer = await witness.add(AddCheckpoint(old, proof, signed.note))
            if answer.status is Status.COSIGNED:
                standing.held_size = checkpoint.size
                return answer.seen
            if answer.status is not Status.HELD or answer.held_size is None:
                break
            if answer.held_size > checkpoint.size or answer.held_size == old == checkpoint.size:
                newest = await self._log.checkpoint()
                if newest is not None and newest.checkpoint.size >= answer.held_size > checkpoint.size:
                    # It was shown a newer checkpoint of ours meanwhile.
                    standing.held_size = answer.held_size
                    return None
                raise LogBehindWitness(
                    f"witness {witness.key.name} has seen {answer.held_size} entries of {checkpoint.origin}, "
                    f"and not these {checkpoint.size}; continue under a new origin",
                    witness=witness.key.name,
                    seen_size=answer.held_size,
                    size=checkpoint.size,
                )
            standing.held_size = answer.held_size
        why = "" if answer is None else f"{answer.status.value} {answer.why}"
        if answer is not None and answer.status is Status.UNPROVEN:
            raise LogBehindWitness(
                f"witness {witness.key.name} holds what {checkpoint.origin} of {checkpoint.size} entries does not "
                f"continue; continue under a new origin",
                witness=witness.key.name,
                size=checkpoint.size,
            )
        self._trouble(witness.key, f"does not sign: {why}")
        return None

    def _trouble(self, key: WitnessKey, why: str) -> None:
        standing = self.standings[key.name]
        if standing.trouble != why:
            standing.trouble = why
            self._observer.troubled(key.name, why)

    async def _measure(self) -> None:
        now = self._clock.now()
        if self._measured_since is None:
            self._measured_since = now
        age_s = await self.age_s()
        # Witnesses that never signed anything are as late as those that stopped.
        self._observer.aged((now - self._measured_since).total_seconds() if age_s is None else age_s)
