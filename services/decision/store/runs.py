"""Runs and their shards in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, Text, and_, any_, exists, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.ports.runs import Pins, ShardAccount
from services.decision.domain.outline import Totals
from services.decision.domain.plan import PlanOutcome
from services.decision.domain.run import Run, RunProgress, RunState, Shard, shards
from services.decision.store.statements import (
    CLAIM_PIN,
    CLAIM_SHARD,
    EXECUTED,
    ONE_RUN,
    ONE_RUN_LOCKED,
    RUN,
    SHARD_ACCOUNTS,
)
from services.decision.tables.book import account, snapshot
from services.decision.tables.runs import plan, run, run_account, run_policy, run_shard
from services.kernel.errors import Conflict
from services.kernel.ids import AccountId, HouseholdId, PolicyHash, RunId

# Rows written by one statement; each row binds a few parameters, and a statement takes at most 32,767.
ROWS_PER_INSERT = 5_000

_TOTALS = (
    "value",
    "drift_before_value",
    "drift_after_value",
    "turnover",
    "trading_cost",
    "tax",
    "tax_saved",
    "realized_gain",
)


@dataclass(frozen=True, slots=True)
class RunStore:
    """The runs, within one transaction."""

    connection: AsyncConnection

    async def add(self, new: Run, account_ids: Sequence[AccountId], shard_size: int) -> None:
        """Keep a new run, its accounts and its shards."""
        await self.connection.execute(
            insert(run).values(
                run_id=new.run_id,
                state=new.state.value,
                actor=new.actor,
                start_time=new.start_time,
                as_of_time=new.as_of_time,
                snapshot_id=new.snapshot_id,
                price_set_id=new.price_set_id,
                price_history_id=new.price_history_id,
                engine=new.engine,
                currency=new.currency,
                dry_run=new.dry_run,
                event=new.event,
                account_count=new.account_count,
                trace_parent=new.trace_parent,
            )
        )
        pieces = list(shards(account_ids, shard_size, await self._households(account_ids)))
        await self._insert(
            run_shard,
            [{"run_id": new.run_id, "number": number, "account_count": len(piece)} for number, piece in pieces],
        )
        await self._insert(
            run_account,
            [
                {"run_id": new.run_id, "account_id": account_id, "shard_number": number}
                for number, piece in pieces
                for account_id in piece
            ],
        )

    async def _households(self, account_ids: Sequence[AccountId]) -> Mapping[AccountId, HouseholdId]:
        wanted = select(account.c.account_id, account.c.household_id).where(
            account.c.account_id == any_(literal(list(account_ids), ARRAY(Text))), account.c.household_id.is_not(None)
        )
        rows = await self.connection.execute(wanted)
        return {AccountId(each.account_id): HouseholdId(each.household_id) for each in rows}

    async def get(self, run_id: RunId) -> Run | None:
        """Return a run."""
        row = (await self.connection.execute(ONE_RUN, {"run_id": run_id})).one_or_none()
        return None if row is None else _run(row)

    async def lock(self, run_id: RunId) -> Run | None:
        """Return a run that nobody else changes before this transaction ends."""
        row = (await self.connection.execute(ONE_RUN_LOCKED, {"run_id": run_id})).one_or_none()
        return None if row is None else _run(row)

    async def progress(self, run_id: RunId) -> RunProgress | None:
        """Return a run and how far it is."""
        found = await self._progress(select(run.c.sequence, *RUN).where(run.c.run_id == run_id))
        return found[0][1] if found else None

    async def newest(self, before: int | None, limit: int) -> Sequence[tuple[int, RunProgress]]:
        """Return runs with their number, newest first, those before number `before`."""
        wanted = select(run.c.sequence, *RUN).order_by(run.c.sequence.desc()).limit(limit)
        return await self._progress(wanted if before is None else wanted.where(run.c.sequence < before))

    async def decided_by(self, as_of_time: datetime | None) -> Run | None:
        """Return the run that decided for the latest business instant up to this one, of all for None."""
        wanted = select(*RUN).where(run.c.decided_time.is_not(None))
        if as_of_time is not None:
            wanted = wanted.where(run.c.as_of_time <= as_of_time)
        newest = wanted.order_by(run.c.as_of_time.desc(), run.c.sequence.desc()).limit(1)
        row = (await self.connection.execute(newest)).one_or_none()
        return None if row is None else _run(row)

    async def move(self, moved: Run, was: RunState) -> None:
        """Keep state, instants and note of a run; Conflict when its state is not `was`."""
        await self._one(
            update(run)
            .where(run.c.run_id == moved.run_id, run.c.state == was.value)
            .values(state=moved.state.value, end_time=moved.end_time, decided_time=moved.decided_time, note=moved.note),
            f"run {moved.run_id} is not {was} any more",
        )

    async def note(self, run_id: RunId, note: str) -> None:
        """Say what a run waits for; empty when it goes on."""
        await self.connection.execute(update(run).where(run.c.run_id == run_id, run.c.note != note).values(note=note))

    async def newest_snapshot_id(self) -> str:
        """Return the newest snapshot of the book; empty when there is none."""
        wanted = select(snapshot.c.snapshot_id).order_by(snapshot.c.sequence.desc()).limit(1)
        return (await self.connection.execute(wanted)).scalar() or ""

    async def risk_model_hash(self, price_history_id: str, engine: str) -> str | None:
        """Return the risk model that an earlier run estimated from the same history with the same build."""
        wanted = select(run.c.risk_model_hash).where(
            run.c.price_history_id == price_history_id, run.c.engine == engine, run.c.risk_model_hash.is_not(None)
        )
        return (await self.connection.execute(wanted.order_by(run.c.sequence.desc()).limit(1))).scalar()

    async def claim_pin(self, now: datetime, until: datetime) -> Run | None:
        """Take the oldest run that is not pinned, for nobody else until `until`."""
        row = (await self.connection.execute(CLAIM_PIN, {"now": now, "until": until})).one_or_none()
        return None if row is None else _run(row)

    async def hold_pin(self, claimed: Run, until: datetime) -> None:
        """Keep, or give back, the claim of `claim_pin`; Conflict when somebody else claimed it since."""
        await self._one(
            update(run).where(_still_pinned_by(claimed)).values(pin_after_time=until),
            f"run {claimed.run_id} is pinned by another",
        )

    async def account_ids(self, run_id: RunId) -> Sequence[AccountId]:
        """Return the run's accounts, ascending."""
        wanted = select(run_account.c.account_id).where(run_account.c.run_id == run_id)
        found = await self.connection.execute(wanted.order_by(run_account.c.account_id))
        return [AccountId(each) for each in found.scalars()]

    async def pin(self, claimed: Run, pins: Pins, at: datetime) -> None:
        """Keep what a claimed run is pinned to; Conflict when somebody else claimed it since, or it is canceled."""
        await self._one(
            update(run)
            .where(_still_pinned_by(claimed))
            .values(
                pinned_time=at,
                note="",
                instruments_hash=pins.instruments_hash,
                risk_model_hash=pins.risk_model_hash,
            ),
            f"run {claimed.run_id} is pinned by another",
        )
        await self._insert(
            run_policy,
            [
                {"run_id": claimed.run_id, "policy_hash": policy_hash, "version_hashes": list(versions)}
                for policy_hash, versions in sorted(pins.version_hashes.items())
            ],
        )
        account_ids = sorted(pins.policy_of)
        given = (
            func.unnest(
                literal(account_ids, ARRAY(Text)), literal([pins.policy_of[each] for each in account_ids], ARRAY(Text))
            )
            .table_valued("account_id", "policy_hash", name="given")
            .render_derived()
        )
        await self.connection.execute(
            update(run_account)
            .where(run_account.c.run_id == claimed.run_id, run_account.c.account_id == given.c.account_id)
            .values(policy_hash=given.c.policy_hash)
        )

    async def claim_shard(self, now: datetime, until: datetime) -> Shard | None:
        """Take the next shard of the oldest pinned run, for nobody else until `until`."""
        row = (await self.connection.execute(CLAIM_SHARD, {"now": now, "until": until})).one_or_none()
        return None if row is None else Shard(RunId(row.run_id), row.number, row.attempt)

    async def hold_shard(self, shard: Shard, until: datetime) -> None:
        """Keep the claim of `claim_shard`; Conflict when somebody else claimed it since."""
        await self._one(
            update(run_shard).where(_still_claimed_by(shard)).values(lease_time=until),
            f"shard {shard.number} of run {shard.run_id} is decided by another",
        )

    async def shard_accounts(self, shard: Shard) -> Sequence[ShardAccount]:
        """Return the shard's accounts, ascending."""
        named = {"run_id": shard.run_id, "number": shard.number}
        return [
            ShardAccount(AccountId(row.account_id), PolicyHash(row.policy_hash or ""), tuple(row.version_hashes or ()))
            for row in await self.connection.execute(SHARD_ACCOUNTS, named)
        ]

    async def complete_shard(
        self, shard: Shard, outcomes: Mapping[PlanOutcome, int], totals: Totals, at: datetime
    ) -> bool:
        """Keep what a shard came to, and return whether it was the last; Conflict when somebody else claimed it."""
        await self._one(
            update(run_shard)
            .where(_still_claimed_by(shard))
            .values(
                done_time=at,
                outcome_counts={outcome.value: count for outcome, count in outcomes.items()},
                gap_max_bps=totals.gap_max_bps,
                **{name: getattr(totals, name) for name in _TOTALS},
            ),
            f"shard {shard.number} of run {shard.run_id} is decided by another",
        )
        left = select(exists().where(run_shard.c.run_id == shard.run_id, run_shard.c.done_time.is_(None)))
        return not (await self.connection.execute(left)).scalar()

    async def executed(self, at: datetime) -> Sequence[Run]:
        """Move runs of which no plan is approved or worked any more to DONE, and return them."""
        return [_run(row) for row in await self.connection.execute(EXECUTED, {"at": at})]

    async def _progress(self, wanted: Select[Any]) -> Sequence[tuple[int, RunProgress]]:
        rows = (await self.connection.execute(wanted)).all()
        ids = [row.run_id for row in rows]
        shard_rows = await self.connection.execute(
            select(
                run_shard.c.run_id,
                func.sum(run_shard.c.account_count).label("decided"),
                func.max(run_shard.c.gap_max_bps).label("gap_max_bps"),
                *(func.sum(run_shard.c[name]).label(name) for name in _TOTALS),
            )
            .where(run_shard.c.run_id.in_(ids), run_shard.c.done_time.is_not(None))
            .group_by(run_shard.c.run_id)
        )
        sums = {row.run_id: row for row in shard_rows}
        outcomes = await self._outcomes(ids)
        plans = await self._plan_counts(ids)
        return [
            (
                row.sequence,
                RunProgress(
                    run=_run(row),
                    decided_count=sums[row.run_id].decided if row.run_id in sums else 0,
                    outcome_counts=outcomes.get(row.run_id, {}),
                    plan_counts=plans.get(row.run_id, {}),
                    totals=_totals(sums[row.run_id]) if row.run_id in sums else Totals(),
                ),
            )
            for row in rows
        ]

    async def _outcomes(self, ids: Sequence[str]) -> Mapping[str, Mapping[PlanOutcome, int]]:
        rows = await self.connection.execute(
            select(run_shard.c.run_id, run_shard.c.outcome_counts).where(
                run_shard.c.run_id.in_(ids), run_shard.c.done_time.is_not(None)
            )
        )
        found: dict[str, dict[PlanOutcome, int]] = {}
        for row in rows:
            counts = found.setdefault(row.run_id, {})
            for name, count in row.outcome_counts.items():
                outcome = PlanOutcome(name)
                counts[outcome] = counts.get(outcome, 0) + count
        return found

    async def _plan_counts(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        rows = await self.connection.execute(
            select(plan.c.run_id, plan.c.state, func.count().label("plans"))
            .where(plan.c.run_id.in_(ids))
            .group_by(plan.c.run_id, plan.c.state)
        )
        found: dict[str, dict[str, int]] = {}
        for row in rows:
            found.setdefault(row.run_id, {})[row.state] = row.plans
        return found

    async def _insert(self, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:  # noqa: ANN401 - a table
        for first in range(0, len(rows), ROWS_PER_INSERT):
            await self.connection.execute(insert(table), list(rows[first : first + ROWS_PER_INSERT]))

    async def _one(self, change: Any, otherwise: str) -> None:  # noqa: ANN401 - an UPDATE
        if (await self.connection.execute(change)).rowcount != 1:
            raise Conflict(otherwise)


def _still_pinned_by(claimed: Run) -> Any:  # noqa: ANN401 - a condition
    return and_(
        run.c.run_id == claimed.run_id,
        run.c.state == RunState.DECIDING.value,
        run.c.pinned_time.is_(None),
        run.c.pin_attempts == claimed.pin_attempts,
    )


def _still_claimed_by(shard: Shard) -> Any:  # noqa: ANN401 - a condition
    return and_(
        run_shard.c.run_id == shard.run_id,
        run_shard.c.number == shard.number,
        run_shard.c.attempt == shard.attempt,
        run_shard.c.done_time.is_(None),
    )


def _run(row: Row[Any]) -> Run:
    return Run(
        run_id=RunId(row.run_id),
        state=RunState(row.state),
        actor=row.actor,
        start_time=row.start_time,
        as_of_time=row.as_of_time,
        snapshot_id=row.snapshot_id,
        price_set_id=row.price_set_id,
        price_history_id=row.price_history_id,
        engine=row.engine,
        currency=row.currency,
        dry_run=row.dry_run,
        event=row.event,
        account_count=row.account_count,
        trace_parent=row.trace_parent,
        end_time=row.end_time,
        pinned_time=row.pinned_time,
        decided_time=row.decided_time,
        instruments_hash=row.instruments_hash,
        risk_model_hash=row.risk_model_hash,
        note=row.note,
        pin_attempts=row.pin_attempts,
    )


def _totals(row: Row[Any]) -> Totals:
    sums: dict[str, Decimal] = {name: getattr(row, name) for name in _TOTALS}
    return Totals(gap_max_bps=row.gap_max_bps, **sums)
