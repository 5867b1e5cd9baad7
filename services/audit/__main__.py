"""`python -m services.audit serve`, `migrate`, `scrub` or `verifier-key`."""

import argparse
import asyncio
import sys

from services.audit.config import AuditSettings
from services.audit.main import check, main, signing_key
from services.runtime.migrations import run_migrations
from services.runtime.server import run


def command_line() -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.audit", description="The audit service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("migrate", help="bring the schema to the newest revision")
    commands.add_parser(
        "scrub", help="check everything that is stored; ends with 1 when something is not as it must be"
    )
    commands.add_parser("verifier-key", help="print the public key that checks this log's checkpoints")
    match parser.parse_args().command:
        case "serve":
            run(main(AuditSettings.from_environment()))
        case "migrate":
            asyncio.run(run_migrations(AuditSettings.from_environment(), "services.audit"))
        case "scrub":
            report = asyncio.run(check(AuditSettings.from_environment()))
            for finding in report.findings:
                sys.stdout.write(f"{finding.where}: {finding.what}\n")
            sys.stdout.write(f"{report.size} entries, root {report.root.hex()}, {report.finding_count} findings\n")
            return 1 if report.finding_count else 0
        case _:
            sys.stdout.write(f"{signing_key(AuditSettings.from_environment()).verifier_key}\n")
    return 0


if __name__ == "__main__":
    sys.exit(command_line())
