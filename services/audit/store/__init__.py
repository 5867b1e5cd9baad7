"""Where is the log kept? In PostgreSQL, by a role that can insert and select and nothing else."""

from services.audit.store.closing import PostgresCloses
from services.audit.store.contents import PostgresContents
from services.audit.store.cosignatures import PostgresCosignatures
from services.audit.store.keeper import (
    PostgresDisposer,
    PostgresGoverning,
    PostgresPartitions,
    PostgresSubjectKeys,
    read_wrapping_key,
)
from services.audit.store.logs import create_logs, stored_logs
from services.audit.store.reader import PostgresReader
from services.audit.store.stretches import PostgresStretches, StretchProcesses, Trusted
from services.audit.store.writer import elect

__all__ = [
    "PostgresCloses",
    "PostgresContents",
    "PostgresCosignatures",
    "PostgresDisposer",
    "PostgresGoverning",
    "PostgresPartitions",
    "PostgresReader",
    "PostgresStretches",
    "PostgresSubjectKeys",
    "StretchProcesses",
    "Trusted",
    "create_logs",
    "elect",
    "read_wrapping_key",
    "stored_logs",
]
