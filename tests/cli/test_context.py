"""What every command shares: tables that cut nothing, and refusals in words."""

import os
import subprocess
import sys

import pytest
from rich.console import Console
from rich.text import Text

from services.audit.domain.merkle import Unproven
from services.kernel.errors import Invalid
from tools.cli.context import refusals_told, table

PLAN = "plan-05375e14085f19fa7c00af8b5d3cacc1"


def test_a_narrow_table_cuts_no_id():
    console = Console(width=30)
    rows = table("Plans", "plan", "account", ">turnover")
    rows.add_row(PLAN, "account-00013", "58,847.65 USD")
    with console.capture() as shown:
        console.print(rows)

    assert "…" not in shown.get()
    lines = shown.get().splitlines()[2:]
    assert "".join(line.split(" ")[0] for line in lines) == PLAN


def test_a_table_shows_brackets_as_they_were_written():
    console = Console(width=60)
    rows = table("About account=[red]1[/]", "matter", "by")
    rows.add_row("Case [/urgent] [draft]", Text("rita", "red"))
    with console.capture() as shown:
        console.print(rows)

    assert shown.get().split("\n")[0].rstrip() == "About account=[red]1[/]"
    assert shown.get().split("\n")[2].split() == ["Case", "[/urgent]", "[draft]", "rita"]


def test_what_goes_to_another_program_is_not_broken_into_lines():
    say = f"from tools.cli.context import out, err; out.print('{PLAN} ' * 30); err.print('{PLAN} ' * 30)"
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}

    said = subprocess.run([sys.executable, "-c", say], env=environment, capture_output=True, text=True, check=True)

    assert [len(each.splitlines()) for each in (said.stdout, said.stderr)] == [1, 1]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Unproven("the tree is not the signed one"), "NOT PROVEN the tree is not the signed one"),
        (FileNotFoundError(2, "No such file or directory", "/none/x.csv"), "/none/x.csv: No such file or directory"),
        (Invalid("must match ^[a-z_]+$, was [/x]"), "FIELD_INVALID must match ^[a-z_]+$, was [/x]"),
    ],
)
def test_what_is_wrong_is_told_in_words_and_ends_the_command(capsys, error, says):
    with pytest.raises(SystemExit) as ended, refusals_told():
        raise error

    assert ended.value.code == 1
    assert says in capsys.readouterr().err


def test_an_error_of_our_own_is_not_taken_for_a_refusal():
    with pytest.raises(OSError, match="broken"), refusals_told():
        raise OSError("broken")
