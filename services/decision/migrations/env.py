"""What Alembic runs for decision's schema."""

from services.runtime.migrations import run_env

run_env()
