"""What plans rest on, in PostgreSQL, by the hash of its bytes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from services.decision.tables.runs import content

# Bodies are some kilobytes each; this many go in one statement.
BODIES_PER_INSERT = 500


@dataclass(frozen=True, slots=True)
class ContentStore:
    """Bodies by hash, within one transaction."""

    connection: AsyncConnection

    async def put(self, bodies: Mapping[str, bytes]) -> None:
        """Keep each body under its hash; what is there already stays."""
        # In one order everywhere, so that two transactions with the same bodies wait for each other and do not lock up.
        rows = [{"content_hash": name, "body": bodies[name]} for name in sorted(bodies)]
        for first in range(0, len(rows), BODIES_PER_INSERT):
            await self.connection.execute(
                insert(content).on_conflict_do_nothing(), rows[first : first + BODIES_PER_INSERT]
            )

    async def get(self, hashes: Collection[str]) -> Mapping[str, bytes]:
        """Return the bodies that are there."""
        wanted = literal(sorted(hashes), ARRAY(Text))
        rows = await self.connection.execute(
            select(content.c.content_hash, content.c.body).where(content.c.content_hash == any_(wanted))
        )
        return {row.content_hash: row.body for row in rows}
