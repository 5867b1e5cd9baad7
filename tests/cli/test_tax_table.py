"""The table of docs/tax.md that says where everything is, and what holds it, names what there is."""

import re
from pathlib import Path

import pytest

from evenkeel.decision.v1 import (
    book_service_pb2,
    plan_service_pb2,
    run_service_pb2,
    tax_service_pb2,
    year_end_service_pb2,
)
from evenkeel.policy.v1 import policy_document_pb2
from tools.cli import main

ROOT = Path(__file__).parents[2]
TITLE = "| what | where | test |"
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in (ROOT / "docs" / "tax.md").read_text().partition(TITLE)[2].splitlines()[2:]
    if line.startswith("| ") and not line.startswith("| *")
]
CONTRACTS = (book_service_pb2, plan_service_pb2, run_service_pb2, tax_service_pb2, year_end_service_pb2)
RPCS = {
    method.name
    for contract in CONTRACTS
    for service in contract.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

SETTINGS = {f"tax.{name}" for name in policy_document_pb2.TaxSettings.DESCRIPTOR.fields_by_name}


def verbs(app, before=""):
    """Yield every command below an application, as it is typed."""
    for each in app.registered_commands:
        yield f"{before}{each.name or each.callback.__name__.replace('_', '-')}"
    for each in app.registered_groups:
        yield from verbs(each.typer_instance, f"{before}{each.name} " if each.name else before)


def test_the_table_is_there():
    assert len(ROWS) > 40
    assert all(len(row) == 3 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_each_row_names_a_test_that_there_is(row):
    for path, name in (each.split("::") for each in re.findall(r"`([^`]+::[^`]+)`", row[2])):
        assert f"def {name}(" in (ROOT / "tests" / "decision" / path).read_text(), name
    assert "::" in row[2]


def test_each_row_names_calls_and_commands_that_there_are():
    commands = set(verbs(main.app))
    for what, where, _ in ROWS:
        named = re.findall(r"`([^`]+)`", where)
        assert named, what
        for each in named:
            assert each in RPCS or each in commands or each in SETTINGS, each
