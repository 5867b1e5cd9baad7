"""`python -m services.audit serve`, `migrate`, `scrub`, `compile` or `verifier-key`."""

import argparse
import asyncio
import os
import sys

from services.audit.config import AuditSettings, signing_keys
from services.audit.main import check, main, migrate
from services.audit.store.compiling import compile_beside, compile_everything
from services.runtime.compiling import bring_shipped
from services.runtime.server import run


def command_line() -> int:
    """Do what the command line says, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.audit", description="The audit service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("migrate", help="bring the schema to the newest revision, and make new logs")
    scrub = commands.add_parser(
        "scrub", help="check everything that is stored; ends with 1 when something is not as it must be"
    )
    scrub.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="that check at once; as many as there are processors"
    )
    commands.add_parser("compile", help="compile what a scrub needs, and keep it")
    commands.add_parser("verifier-key", help="print the public keys that check the logs' checkpoints")
    given = parser.parse_args()
    match given.command:
        case "serve":
            bring_shipped()
            compile_beside()
            run(main(AuditSettings.from_environment()))
        case "migrate":
            asyncio.run(migrate(AuditSettings.from_environment()))
        case "compile":
            compile_everything()
        case "scrub":
            bring_shipped()
            reports = asyncio.run(check(AuditSettings.from_environment(), given.processes))
            for name, report in reports.items():
                for finding in report.findings:
                    sys.stdout.write(f"{name}: {finding.where}: {finding.what}\n")
                said = f"{report.size} entries, root {report.root.hex()}, {report.finding_count} findings"
                sys.stdout.write(f"{name}: {said}\n")
            return 1 if any(report.finding_count for report in reports.values()) else 0
        case _:
            for key in signing_keys(AuditSettings.from_environment()).values():
                sys.stdout.write(f"{key.verifier_key}\n")
    return 0


if __name__ == "__main__":
    sys.exit(command_line())
