"""Accounts under two policies, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, any_, bindparam, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from services.decision.app.comparing import ComparisonFilter, KeptComparison
from services.decision.domain.comparison import Comparison, Figures, PolicySides
from services.decision.domain.plan import PlanOutcome
from services.decision.tables.comparisons import comparison
from services.kernel.ids import AccountId, PolicyHash, RunId

# Rows written by one statement.
ROWS_PER_INSERT = 5_000

_FIGURES = ("tax_bps", "cost_bps", "drift_bps", "turnover_bps")
_COLUMNS = [column for column in comparison.c if column.name != "report_time"]


@dataclass(frozen=True, slots=True)
class ComparisonStore:
    """The comparisons, within one transaction."""

    connection: AsyncConnection

    async def pin(self, run_id: RunId, sides: Mapping[AccountId, PolicySides]) -> None:
        """Keep which accounts of a run are to be compared."""
        rows = [
            {
                "run_id": run_id,
                "account_id": account_id,
                "change_id": each.change_id,
                "candidate_hash": each.candidate_hash,
                "incumbent_hash": each.incumbent_hash,
            }
            for account_id, each in sorted(sides.items())
        ]
        for first in range(0, len(rows), ROWS_PER_INSERT):
            await self.connection.execute(insert(comparison), rows[first : first + ROWS_PER_INSERT])

    async def sides(self, run_id: RunId, account_ids: Sequence[AccountId]) -> Mapping[AccountId, PolicySides]:
        """Return those of `account_ids` that are to be compared in a run."""
        wanted = select(
            comparison.c.account_id, comparison.c.change_id, comparison.c.candidate_hash, comparison.c.incumbent_hash
        ).where(
            comparison.c.run_id == run_id,
            comparison.c.account_id == any_(literal(list(account_ids), ARRAY(Text))),
        )
        rows: Sequence[Any] = (await self.connection.execute(wanted)).all()
        return {AccountId(row.account_id): _sides(row) for row in rows}

    async def decided(self, run_id: RunId, found: Sequence[Comparison], at: datetime) -> None:
        """Keep what accounts of a run got under both policies."""
        rows = [
            {
                "this_run": run_id,
                "this_account": each.account_id,
                "decide_time": at,
                "candidate_in_force": each.candidate_in_force,
                "candidate_outcome": each.candidate.outcome.value,
                "incumbent_outcome": each.incumbent.outcome.value,
                **{f"candidate_{name}": getattr(each.candidate, name) for name in _FIGURES},
                **{f"incumbent_{name}": getattr(each.incumbent, name) for name in _FIGURES},
            }
            for each in found
        ]
        if rows:
            of_row = update(comparison).where(
                comparison.c.run_id == bindparam("this_run"), comparison.c.account_id == bindparam("this_account")
            )
            names = [name for name in rows[0] if not name.startswith("this_")]
            await self.connection.execute(of_row.values({name: bindparam(name) for name in names}), rows)

    async def unreported(self, limit: int) -> Sequence[KeptComparison]:
        """Return up to `limit` decided comparisons that policy does not know, the oldest first; for one reporter."""
        wanted = (
            select(*_COLUMNS)
            .where(comparison.c.decide_time.is_not(None), comparison.c.report_time.is_(None))
            .order_by(comparison.c.number)
            .limit(limit)
        )
        return [_kept(row) for row in await self.connection.execute(wanted)]

    async def reported(self, kept: Sequence[KeptComparison], at: datetime) -> None:
        """Note that policy knows of comparisons."""
        numbers = [each.number for each in kept]
        await self.connection.execute(update(comparison).where(comparison.c.number.in_(numbers)).values(report_time=at))

    async def newest(self, wanted: ComparisonFilter, before: int | None, limit: int) -> Sequence[KeptComparison]:
        """Return up to `limit` decided comparisons with numbers below `before`, newest first."""
        query = (
            select(*_COLUMNS)
            .where(comparison.c.decide_time.is_not(None))
            .order_by(comparison.c.number.desc())
            .limit(limit)
        )
        if wanted.run_id is not None:
            query = query.where(comparison.c.run_id == wanted.run_id)
        if wanted.change_id is not None:
            query = query.where(comparison.c.change_id == wanted.change_id)
        if wanted.account_id is not None:
            query = query.where(comparison.c.account_id == wanted.account_id)
        if before is not None:
            query = query.where(comparison.c.number < before)
        return [_kept(row) for row in await self.connection.execute(query)]


def _sides(row: Row[Any]) -> PolicySides:
    return PolicySides(row.change_id, PolicyHash(row.candidate_hash), PolicyHash(row.incumbent_hash))


def _kept(row: Row[Any]) -> KeptComparison:
    return KeptComparison(
        number=row.number,
        run_id=RunId(row.run_id),
        comparison=Comparison(
            account_id=AccountId(row.account_id),
            sides=_sides(row),
            candidate_in_force=row.candidate_in_force,
            candidate=_figures(row, "candidate"),
            incumbent=_figures(row, "incumbent"),
        ),
        decide_time=row.decide_time,
    )


def _figures(row: Row[Any], side: str) -> Figures:
    outcome = PlanOutcome(getattr(row, f"{side}_outcome"))
    return Figures(outcome, **{name: getattr(row, f"{side}_{name}") for name in _FIGURES})
