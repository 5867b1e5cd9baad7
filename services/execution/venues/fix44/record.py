"""Our record of orders at a broker: what was sent, and what the broker said, as a stream of reports without a gap.

Each id of a report is there once, whichever session brought it. `writing` writes it.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from asyncpg import Connection as Driver
from asyncpg import Record as Row

from services.execution.app.report_text import report_of
from services.execution.app.venue_port import (
    InstructionState,
    InstructionView,
    Intent,
    VenueReport,
    VenueView,
)
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.venues.fix44.said import Standing
from services.kernel.ids import InstrumentId, VenueId

# A broker says an average price to so many decimals at least; what it rounds away cannot be compared.
AVERAGE_PRICE_DECIMALS = 6


class OrderKnowledge(StrEnum):
    """What we know of an order that we sent."""

    SENT = "SENT"  # On record, and perhaps at the broker.
    KNOWN = "KNOWN"  # The broker said something about it.
    REFUSED = "REFUSED"
    ABSENT = "ABSENT"  # The broker, asked after it was sent, does not know it: it never arrived and never will.


class NameKind(StrEnum):
    """What a ClOrdID names."""

    ORDER = "ORDER"
    CANCEL = "CANCEL"
    REPLACE = "REPLACE"


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order that we sent, and what the broker said about it last: its names, and how it stands."""

    intent: Intent
    knowledge: OrderKnowledge
    why: str
    present_name: str
    confirmed_name: str
    order_id: str = ""
    view: VenueView | None = None

    @property
    def client_order_id(self) -> str:
        """Return the name under which it was sent first."""
        return self.intent.client_order_id


class HeardOrder(NamedTuple):
    """What of an order changes when the broker speaks of it; `told`: how it stands then, None if that is not said."""

    client_order_id: str
    knowledge: OrderKnowledge
    why: str
    present_name: str
    confirmed_name: str
    order_id: str
    instrument_id: InstrumentId
    currency: str
    told: Standing | None = None


def view_of(client_order_id: str, standing: Standing) -> VenueView:
    """Return an order as the broker says it stands."""
    return VenueView(
        client_order_id=client_order_id,
        quantity=standing.quantity,
        filled_quantity=standing.filled_quantity,
        gross_amount=None if standing.average_price is None else standing.filled_quantity * standing.average_price,
        fees=standing.fees,
        open=standing.open,
        amount_tolerance=standing.filled_quantity * Decimal(5).scaleb(-AVERAGE_PRICE_DECIMALS - 1),
    )


_ORDERS = "SELECT * FROM execution.fix_order WHERE venue_id = $1 AND client_order_id = ANY($2::text[])"
_TOLD_ORDERS = """
    SELECT * FROM execution.fix_order WHERE venue_id = $1 AND state = 'KNOWN' ORDER BY client_order_id
"""
_BY_NAMES = """
    SELECT named.name, named.kind, ordered.*
    FROM execution.fix_name AS named JOIN execution.fix_order AS ordered USING (venue_id, client_order_id)
    WHERE venue_id = $1 AND named.name = ANY($2::text[])
"""
_SAID = """
    SELECT position, client_order_id, kind, CAST(content AS text) AS content, report_time, drop_copy
    FROM execution.fix_report WHERE venue_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""
_INSTRUCTIONS = """
    SELECT allocation_id, state, why FROM execution.fix_instruction
    WHERE venue_id = $1 AND allocation_id = ANY($2::text[])
"""


class Record:
    """The record of one venue's orders, as it is read through one connection of the driver."""

    def __init__(self, driver: Driver, venue_id: VenueId) -> None:
        """Read through `driver`."""
        self._driver = driver
        self._venue_id = venue_id

    async def orders(self, client_order_ids: Collection[str]) -> dict[str, KnownOrder]:
        """Return orders by the name under which they were sent first; those never sent are missing."""
        if not client_order_ids:
            return {}
        found = await self._driver.fetch(_ORDERS, self._venue_id, list(client_order_ids))
        return {row["client_order_id"]: known_order(row) for row in found}

    async def by_names(self, names: Collection[str]) -> dict[str, tuple[NameKind, KnownOrder]]:
        """Return what names are about: the order, and whether the name is its own or of a change."""
        if not names:
            return {}
        found = await self._driver.fetch(_BY_NAMES, self._venue_id, list(names))
        return {row["name"]: (NameKind(row["kind"]), known_order(row)) for row in found}

    async def told_orders(self) -> list[KnownOrder]:
        """Return all orders that the broker said something about, by name."""
        return [known_order(row) for row in await self._driver.fetch(_TOLD_ORDERS, self._venue_id)]

    async def said(self, after: int, limit: int) -> list[VenueReport]:
        """Return the stream after a position."""
        return [
            VenueReport(
                row["position"],
                row["client_order_id"],
                report_of(row["kind"], json.loads(row["content"])),
                row["report_time"],
                row["drop_copy"],
            )
            for row in await self._driver.fetch(_SAID, self._venue_id, after, limit)
        ]

    async def instructions(self, allocation_ids: Collection[str]) -> Mapping[str, InstructionView]:
        """Return what became of allocation instructions."""
        found = await self._driver.fetch(_INSTRUCTIONS, self._venue_id, list(allocation_ids))
        return {row["allocation_id"]: InstructionView(InstructionState(row["state"]), row["why"]) for row in found}


def known_order(row: Row) -> KnownOrder:
    """Return an order as a row of its table has it."""
    intent = Intent(
        client_order_id=row["client_order_id"],
        instrument_id=InstrumentId(row["instrument_id"]),
        side=Side(row["side"]),
        quantity=row["quantity"],
        increment=row["increment"],
        order_type=OrderType(row["order_type"]),
        limit_price=row["limit_price"],
        time_in_force=TimeInForce(row["time_in_force"]),
        currency=row["currency"],
        settlement_date=row["settlement_date"],
    )
    view = None
    if row["told_quantity"] is not None:
        view = VenueView(
            client_order_id=row["client_order_id"],
            quantity=row["told_quantity"],
            filled_quantity=row["told_filled"],
            gross_amount=None if row["told_price"] is None else row["told_filled"] * row["told_price"],
            fees=row["told_fees"],
            open=row["told_open"],
            amount_tolerance=row["told_filled"] * Decimal(5).scaleb(-AVERAGE_PRICE_DECIMALS - 1),
        )
    return KnownOrder(
        intent=intent,
        knowledge=OrderKnowledge(row["state"]),
        why=row["why"],
        present_name=row["present_name"],
        confirmed_name=row["confirmed_name"],
        order_id=row["order_id"],
        view=view,
    )
