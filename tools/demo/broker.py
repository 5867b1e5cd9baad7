"""The demo's broker: a foreign FIX engine where it installs, else the sandbox behind our own FIX acceptor."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from evenkeel.execution.v1 import execution_service_pb2 as execution
from tools.client.session import Evenkeel
from tools.client.values import decimal
from tools.demo.scenario import (
    CURRENCY,
    MARKET_TIME,
    SANDBOX_FEE_BPS,
    SANDBOX_FILL_SHARE_MAX,
    SANDBOX_SPREAD_BPS,
    TRADE_DAY,
    Scenario,
)
from tools.local.broker import INSTALLED, Counterparty, free_port

US, BROKER = "EVENKEEL", "BROKER"
# Largest page of a list.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class FixBroker:
    """A broker to trade with: how execution reaches it, and what it says itself."""

    description: str
    environment: Mapping[str, str]
    quickfix: Counterparty | None
    venue_id: str = "fix44"

    async def open_market(self, scenario: Scenario) -> None:
        """Give the broker the next day's real market; our own sandbox has it already."""
        if self.quickfix is None:
            return
        prices = scenario.prices
        await self.quickfix.ask(
            "market",
            time=MARKET_TIME.isoformat(),
            currency=CURRENCY,
            prices={name: f"{prices.close(name, TRADE_DAY):f}" for name in prices.instrument_ids},
            spread_bps=f"{SANDBOX_SPREAD_BPS:f}",
            fee_bps=f"{SANDBOX_FEE_BPS:f}",
            seed=scenario.seed,
            share=f"{SANDBOX_FILL_SHARE_MAX:f}",
        )

    async def summary(self, trader: Evenkeel) -> str:
        """Return what the broker has, beside what we have of it."""
        if self.quickfix is None:
            return "[green]✓[/] Every order went over FIX 4.4 to our own acceptor, in front of the sandbox"
        theirs = await self.quickfix.ask("state")
        filled = {name: Decimal(order["filled"]) for name, order in theirs["orders"].items()}
        ours = {block.client_order_id: decimal(block.filled_quantity) for block in await _blocks(trader)}
        counts = theirs["counts"]
        agree = filled == ours and counts["duplicates"] == 0
        mark = "[green]✓[/]" if agree else "[red]✗[/]"
        return (
            f"{mark} The broker's own books: {counts['orders']:,} orders over FIX 4.4, {counts['duplicates']} sent "
            f"twice, {counts['reports']:,} messages back; every order's fills {'are' if agree else 'are not'} ours"
        )


@asynccontextmanager
async def fix_broker(directory: Path) -> AsyncIterator[FixBroker]:
    """Start a broker that keeps its store and log in `directory`, and stop it at the end."""
    port = free_port()
    prefix = "EVENKEEL_EXECUTION_"
    environment = {
        f"{prefix}VENUE": "fix44",
        # It fills at any hour.
        f"{prefix}OUTSIDE_SESSION": "SEND",
        # Its prices are of the next day.
        f"{prefix}BUY_PROTECTION": "COLLAR",
        f"{prefix}FIX_HOST": "127.0.0.1",
        f"{prefix}FIX_PORT": str(port),
        f"{prefix}FIX_SENDER_COMP_ID": US,
        f"{prefix}FIX_TARGET_COMP_ID": BROKER,
    }
    if not INSTALLED:
        environment |= {f"{prefix}SANDBOX_FIX_PORT": str(port), f"{prefix}SANDBOX_FIX_COMP_ID": BROKER}
        yield FixBroker(
            "QuickFIX does not install here (its only wheel is for CPython 3.11 on x86-64 Linux): "
            "the broker is our own acceptor in front of the sandbox",
            environment,
            None,
        )
        return
    module = "tools.local.quickfix_broker"
    arguments = ("--port", str(port), "--folder", str(directory), "--us", BROKER, "--clients", US)
    async with Counterparty(module, *arguments) as quickfix:
        yield FixBroker("QuickFIX, a FIX engine of others, in a process of its own", environment, quickfix)


async def _blocks(trader: Evenkeel) -> list[execution.Block]:
    blocks: list[execution.Block] = []
    token = ""
    while True:
        page = await trader.execution.ListBlocks(execution.ListBlocksRequest(page_size=PAGE, page_token=token))
        blocks += page.blocks
        token = page.next_page_token
        if not token:
            return blocks
