"""`python -m services.audit serve`, `migrate`, or `verifier-key`."""

import argparse
import asyncio
import sys

from services.audit.config import AuditSettings
from services.audit.domain.signed_note import SigningKey
from services.audit.main import main
from services.kernel.signing import read_private_key
from services.runtime.migrations import run_migrations
from services.runtime.server import run


def command_line() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m services.audit", description="The audit service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("migrate", help="bring the schema to the newest revision")
    commands.add_parser("verifier-key", help="print the public key that checks this log's checkpoints")
    match parser.parse_args().command:
        case "serve":
            run(main(AuditSettings.from_environment()))
        case "migrate":
            asyncio.run(run_migrations(AuditSettings.from_environment(), "services.audit"))
        case _:
            settings = AuditSettings.from_environment()
            key = SigningKey(settings.log_origin, read_private_key(settings.log_key_file.read_bytes()))
            sys.stdout.write(f"{key.verifier_key}\n")


if __name__ == "__main__":
    command_line()
