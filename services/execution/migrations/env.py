"""Applies execution's migrations."""

from services.runtime.migrations import run_env

run_env()
