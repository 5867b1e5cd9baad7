"""Keeps what decision knows, in PostgreSQL, schema `decision`."""
