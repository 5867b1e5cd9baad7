"""Keeps execution's record in PostgreSQL."""

from services.execution.store.ledger import PostgresLedger, begin_with

__all__ = ["PostgresLedger", "begin_with"]
