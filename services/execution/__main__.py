"""`python -m services.execution serve` or `migrate`."""

import argparse
import asyncio

from services.execution.config import ExecutionSettings
from services.execution.main import main
from services.runtime.migrations import run_migrations
from services.runtime.server import run


def command_line() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m services.execution", description="The execution service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("migrate", help="bring the schema to the newest revision")
    settings = ExecutionSettings.from_environment()
    if parser.parse_args().command == "serve":
        run(main(settings))
    else:
        asyncio.run(run_migrations(settings, "services.execution"))


if __name__ == "__main__":
    command_line()
