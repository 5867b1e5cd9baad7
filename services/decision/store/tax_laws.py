"""Versions of tax law, in PostgreSQL."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decision.app.tax_laws import TaxLawWriting
from services.decision.domain.tax.laws import LawState, LawVersion
from services.decision.tables.taxes import tax_law
from services.kernel.canonical import canonical_json
from services.kernel.errors import Conflict
from services.kernel.events import Event
from services.runtime.database import Database


@dataclass(frozen=True, slots=True)
class TaxLawStore:
    """The versions on record, through one connection."""

    connection: AsyncConnection

    async def versions(self) -> Sequence[LawVersion]:
        """Return every version, by country, year and number."""
        query = select(tax_law).order_by(tax_law.c.jurisdiction, tax_law.c.tax_year, tax_law.c.version)
        return [_version(row) for row in await self.connection.execute(query)]

    async def lock(self) -> None:
        """Let nobody else propose or review before this transaction ends."""
        await self.connection.execute(text("LOCK TABLE decision.tax_law IN SHARE ROW EXCLUSIVE MODE"))

    async def add(self, version: LawVersion) -> None:
        """Keep a new version."""
        await self.connection.execute(
            insert(tax_law).values(
                jurisdiction=version.jurisdiction,
                tax_year=version.tax_year,
                version=version.version,
                state=version.state.value,
                amounts=canonical_json(dict(version.amounts)),
                source=version.source,
                author=version.author,
                propose_time=version.propose_time,
            )
        )

    async def review(self, version: LawVersion) -> None:
        """Keep what was decided about a version.

        Raises:
            Conflict: Somebody decided about it meanwhile.
        """
        done = await self.connection.execute(
            update(tax_law)
            .where(
                tax_law.c.jurisdiction == version.jurisdiction,
                tax_law.c.tax_year == version.tax_year,
                tax_law.c.version == version.version,
                tax_law.c.state == LawState.PROPOSED.value,
            )
            .values(
                state=version.state.value,
                reviewer=version.reviewer,
                review_time=version.review_time,
                review_note=version.review_note,
            )
        )
        if done.rowcount != 1:
            raise Conflict(
                f"version {version.version} of {version.jurisdiction} {version.tax_year} was decided meanwhile"
            )


@dataclass(frozen=True, slots=True)
class TaxLawSessions:
    """The versions in `database`."""

    database: Database

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[TaxLawWriting]:
        """Open a transaction, or join the one of the call being served."""
        async with self.database.begin() as transaction:

            async def emit(events: Sequence[Event]) -> None:
                await transaction.emit(*events)

            yield TaxLawWriting(TaxLawStore(transaction.connection), emit)


def _version(row: Row[Any]) -> LawVersion:
    return LawVersion(
        row.jurisdiction,
        row.tax_year,
        row.version,
        LawState(row.state),
        {name: Decimal(value) for name, value in json.loads(row.amounts).items()},
        row.source,
        row.author,
        row.propose_time,
        row.reviewer,
        row.review_time,
        row.review_note,
    )
