"""The acceptance command as a process of its own, over a real socket: QuickFIX's 59 definitions for a server."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.execution.fix.definitions import DEFINITIONS
from tests.execution.fix.script import FIX_4_4, FIX_5_0_SP2, play

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "fix.md"


@contextlib.contextmanager
def served():
    command = [sys.executable, "-m", "services.execution.fix.acceptance", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        line = server.stdout.readline()
        try:
            yield int(line.rpartition(":")[2])
        finally:
            server.terminate()
            assert server.wait(20) == 0


@pytest.fixture(scope="module")
def port():
    with served() as bound:
        yield bound


@pytest.fixture
def fresh_port():
    with served() as bound:
        yield bound


@pytest.mark.parametrize("name", DEFINITIONS)
async def test_definition(name, port):
    await play(DEFINITIONS[name][1], port)


# In 5.0 SP2 tag 999 exists, Symbol is not required, TradingSessionID has a list of values and left SecurityDefinition.
ONLY_4_4 = {
    "14a_BadField",
    "14b_RequiredFieldMissing",
    "14i_RepeatingGroupCountNotEqual",
    "21_RepeatingGroupSpecifierWithValueOfZero",
}
# These wait, and nothing in them depends on the version.
SLOW = {"4a_NoDataSentDuringHeartBtInt", "6_SendTestRequest", "2i_BeginStringValueUnexpected"}


@pytest.mark.parametrize("name", [name for name in DEFINITIONS if name not in ONLY_4_4 | SLOW])
async def test_definition_in_fix_5_0_sp2_over_fixt_1_1(name, port):
    await play(DEFINITIONS[name][1], port, FIX_5_0_SP2)


async def test_an_order_of_one_client_is_not_a_duplicate_of_another_clients(fresh_port):
    order = "> A 1 98=0|108=30\n< A 1 98=0|108=30\n> D 2 {0}\n< D 2 {0}\n> 5 3\n< 5 3\nclosed".format(
        "97=Y|11=ID|21=3|40=1|54=1|55=INTC|60=NOW"
    )
    for version in (FIX_4_4, FIX_5_0_SP2):
        await play(order, fresh_port, version)


# What QuickFIX has for FIX 5.0 beyond those for 4.4.
async def test_1d_InvalidLogonNoDefaultApplVerID(port):
    await play("raw 8=FIXT.1.1|35=A|34=1|49=TW50|52=NOW|56=ISLD|98=0|108=30\nclosed", port)


async def test_14j_OutOfOrderRepeatingGroupMembers(port):
    order = "11=ID|21=1|40=1|54=1|38=200.00|55=INTC|60=NOW"
    await play(
        "> A 1 98=0|108=30\n< A 1 98=0|108=30\n"
        f"> D 2 {order}|78=2|79=acct1|80=50|661=1|79=acct2|80=150|661=1\n"
        "< 3 2 45=2|58=Out of order repeating group members|371=661|372=D|373=15\n> 5 3\n< 5 3\nclosed",
        port,
        FIX_5_0_SP2,
    )


async def test_a_conversation_that_differs_is_noticed(port):
    with pytest.raises(AssertionError, match="< A 2 98=0"):
        await play("> A 1 98=0|108=30\n< A 2 98=0|108=30", port)
    with pytest.raises(AssertionError, match="closed"):
        await play("> A 1 98=0|108=1\n< A 1 98=0|108=1\nclosed", port)


def test_the_page_lists_every_definition_with_what_it_shows():
    assert len(DEFINITIONS) == 59
    rows = dict(line.strip("| \n").split(" | ", 1) for line in PAGE.read_text().splitlines() if line.startswith("| `"))

    assert {name: shows for name, (shows, _) in DEFINITIONS.items()}.items() <= {
        name.strip("`"): shows for name, shows in rows.items()
    }.items()


async def test_many_clients_may_try_at_once(port):
    async def stranger():
        await play("> A 1 49=NOBODY|98=0|108=30\nclosed", port)

    await asyncio.gather(*[stranger() for _ in range(30)])
