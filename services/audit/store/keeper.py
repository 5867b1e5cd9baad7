"""Destroys what may be destroyed, by a database role of its own that can do nothing else.

The service's login can only insert and select. The keeper's login can call one function, which drops a partition that
two different people decided about, and can delete keys of personal data. Each of those keys is stored wrapped under a
key that is not in the database at all, so that neither a copy of the tables nor a backup of them can be read alone.
"""

import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import ARRAY, Text, any_, delete, func, insert, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as insert_once

from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.personal import KEY_BYTES, SubjectKey
from services.audit.domain.records import Proposal
from services.audit.tables import SCHEMA, disposed_number, log_tables, subject_key, subject_key_destroyed
from services.runtime.database import Database

_NONCE_BYTES = 12

# Of the advisory lock under which the record is governed, one decision after the other.
_GOVERNING = 0x6576656E6B676F76

_DISPOSE = text(
    "select audit_keeper.dispose(:proposal, :log, :first, :after_last, :proposer, :decider, :decision_index)"
)
_PARTITIONS = text("""
    select pg_get_expr(child.relpartbound, child.oid)
    from pg_inherits
    join pg_class as child on child.oid = pg_inherits.inhrelid
    where pg_inherits.inhparent = cast(:parent as regclass)
""")


class PostgresGoverning:
    """Lets one decision about the record be made after the other."""

    def __init__(self, database: Database) -> None:
        """Lock in `database`."""
        self._database = database

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        """Wait for those who decide already, then let nobody else until the block ends."""
        async with self._database.begin() as transaction:
            await transaction.connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _GOVERNING})
            yield


class PostgresPartitions:
    """The partitions that the entries are kept in."""

    def __init__(self, database: Database) -> None:
        """Look in `database`."""
        self._database = database

    async def partitions(self, log: str) -> Sequence[tuple[int, int]]:
        """Return the bounds of each that the log `log` has, by the first."""
        parent = f"{SCHEMA}.{log_tables(log).entry.name}"
        async with self._database.read() as connection:
            bounds = (await connection.execute(_PARTITIONS, {"parent": parent})).scalars()
            return sorted(_bounds(each) for each in bounds)


class PostgresDisposer:
    """Drops partitions."""

    def __init__(self, database: Database, keeper: Database) -> None:
        """Keep numbers in `database`, drop as `keeper`."""
        self._database = database
        self._keeper = keeper

    async def keep_numbers(self, proposal: Proposal, numbers: Mapping[str, tuple[int, int]]) -> None:
        """Keep the first and the last number of each account in the partition, so that numbering goes on."""
        stop = int(proposal.content["stop"])
        log = proposal.content["log"]
        rows = [
            {"log": log, "account": each, "stop": stop, "number": last, "first_number": first}
            for each, (first, last) in sorted(numbers.items())
        ]
        if rows:
            async with self._database.begin() as transaction:
                await transaction.connection.execute(insert_once(disposed_number).on_conflict_do_nothing(), rows)

    async def drop(self, proposal: Proposal) -> None:
        """Drop the partition that `proposal` names, when it is there. Safe to repeat."""
        async with self._keeper.begin() as transaction:
            await transaction.connection.execute(
                _DISPOSE,
                {
                    "proposal": proposal.proposal_id,
                    "log": proposal.content["log"],
                    "first": int(proposal.content["start"]),
                    "after_last": int(proposal.content["stop"]),
                    "proposer": proposal.proposer,
                    "decider": proposal.decider,
                    "decision_index": proposal.index,
                },
            )


class PostgresSubjectKeys:
    """The keys of subjects' personal data."""

    def __init__(self, keeper: Database, wrapping_key: bytes) -> None:
        """Keep them through `keeper`, each wrapped under `wrapping_key`, 32 bytes."""
        self._keeper = keeper
        self._wrapping = AESGCM(wrapping_key)

    async def newest(self, subjects: Sequence[str]) -> Mapping[str, SubjectKey]:
        """Return by subject the key to seal with; it is made when there is none."""
        found = await self._living(subjects)
        missing = [subject for subject in subjects if subject not in found]
        if missing:
            async with self._keeper.begin() as transaction:
                gone = subject_key_destroyed.c
                query = (
                    select(gone.subject, func.max(gone.generation))
                    .where(gone.subject == any_(literal(missing, ARRAY(Text))))
                    .group_by(gone.subject)
                )
                last = {row[0]: row[1] for row in await transaction.connection.execute(query)}
                rows = [self._row(subject, last.get(subject, 0) + 1) for subject in missing]
                await transaction.connection.execute(insert_once(subject_key).on_conflict_do_nothing(), rows)
            # Another process may have been faster; what is stored is what counts.
            found |= await self._living(missing)
        return found

    async def find(self, names: Sequence[tuple[str, int]]) -> Mapping[str, SubjectKey]:
        """Return by key id those of the keys `(subject, generation)` that were not destroyed."""
        if not names:
            return {}
        key = subject_key.c
        query = select(key.subject, key.generation, key.wrapped).where(
            tuple_(key.subject, key.generation).in_(list(names))
        )
        async with self._keeper.read() as connection:
            keys = [self._unwrapped(*row) for row in await connection.execute(query)]
        return {each.key_id: each for each in keys}

    async def living(self, subject: str) -> Sequence[int]:
        """Return the generations of a subject's keys that were not destroyed."""
        key = subject_key.c
        query = select(key.generation).where(key.subject == subject).order_by(key.generation)
        async with self._keeper.read() as connection:
            return list((await connection.execute(query)).scalars())

    async def destroyed(self, subjects: Sequence[str]) -> frozenset[str]:
        """Return those of `subjects` of which a key was destroyed."""
        gone = subject_key_destroyed.c
        query = select(gone.subject).where(gone.subject == any_(literal(list(subjects), ARRAY(Text)))).distinct()
        async with self._keeper.read() as connection:
            return frozenset((await connection.execute(query)).scalars())

    async def destroy(self, subject: str, generations: Collection[int]) -> None:
        """Destroy these keys of `subject`. Safe to repeat."""
        key = subject_key.c
        async with self._keeper.begin() as transaction:
            removed = delete(subject_key).where(key.subject == subject, key.generation.in_(list(generations)))
            found = list((await transaction.connection.execute(removed.returning(key.generation))).scalars())
            if found:
                rows = [{"subject": subject, "generation": each} for each in found]
                await transaction.connection.execute(insert(subject_key_destroyed), rows)

    async def _living(self, subjects: Sequence[str]) -> dict[str, SubjectKey]:
        key = subject_key.c
        query = (
            select(key.subject, key.generation, key.wrapped)
            .where(key.subject == any_(literal(list(subjects), ARRAY(Text))))
            .order_by(key.subject, key.generation)
        )
        async with self._keeper.read() as connection:
            rows = (await connection.execute(query)).all()
        return {row.subject: self._unwrapped(*row) for row in rows}

    def _row(self, subject: str, generation: int) -> dict[str, object]:
        key = SubjectKey(subject, generation, secrets.token_bytes(KEY_BYTES))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._wrapping.encrypt(nonce, key.secret, key.key_id.encode())
        return {"subject": subject, "generation": generation, "wrapped": wrapped}

    def _unwrapped(self, subject: str, generation: int, wrapped: bytes) -> SubjectKey:
        name = f"{subject}/{generation}"
        try:
            secret = self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], name.encode())
        except InvalidTag as error:
            raise LogRootMismatch(f"the key {name} is not what was stored, or is wrapped under another key") from error
        return SubjectKey(subject, generation, secret)


def read_wrapping_key(file: Path) -> bytes:
    """Return the key in `file`: 64 hexadecimal digits.

    Raises:
        ValueError: The file says something else.
    """
    key = bytes.fromhex(file.read_text().strip())
    if len(key) != KEY_BYTES:
        raise ValueError(f"{file} must hold {KEY_BYTES * 2} hexadecimal digits, holds {len(key) * 2}")
    return key


def _bounds(expression: str) -> tuple[int, int]:
    """Return the bounds that PostgreSQL says as `FOR VALUES FROM ('0') TO ('256')`."""
    digits = [
        part for part in expression.replace("'", " ").replace("(", " ").replace(")", " ").split() if part.isdecimal()
    ]
    return int(digits[0]), int(digits[1])
