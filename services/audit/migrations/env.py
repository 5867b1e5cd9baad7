"""Runs audit's migrations; `services.runtime.migrations` says how."""

from services.runtime.migrations import run_env

run_env()
