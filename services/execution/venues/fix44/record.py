"""Our record of orders at a broker, within one transaction of its session.

What is sent and what was said are written here and in the session's journal together, so that a death between the two
is impossible. The reports are a stream without a gap, each of its ids once, whichever session brought it.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from asyncpg import Connection as Driver
from asyncpg import Record as Row

from services.execution.app.report_text import report_of, report_text
from services.execution.app.venue_port import (
    AllocationInstruction,
    InstructionState,
    InstructionView,
    Intent,
    VenueReport,
    VenueView,
)
from services.execution.domain.order import Report
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.venues.fix44.hearing import Standing
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
    """An order that we sent, and what the broker said about it last."""

    intent: Intent
    knowledge: OrderKnowledge
    why: str
    present_name: str
    confirmed_name: str
    order_id: str = ""
    told: Standing | None = None
    view: VenueView | None = None

    @property
    def client_order_id(self) -> str:
        """Return the name under which it was sent first."""
        return self.intent.client_order_id


def view_of(client_order_id: str, standing: Standing) -> VenueView:
    """Return an order as the broker says it stands."""
    return VenueView(
        client_order_id=client_order_id,
        quantity=standing.quantity,
        filled_quantity=standing.filled_quantity,
        gross_amount=standing.filled_quantity * standing.average_price,
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
# An order that is known to be absent is sent again, under the same name.
_ADD_ORDERS = """
    WITH sent AS (
        SELECT * FROM unnest(
            $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::text[], $9::numeric[], $10::text[],
            $11::text[]
        ) AS sent (name, instrument_id, side, quantity, increment, order_type, limit_price, time_in_force, currency)
    ), ordered AS (
        INSERT INTO execution.fix_order (
            venue_id, client_order_id, instrument_id, side, quantity, increment, order_type, limit_price,
            time_in_force, currency, send_time, state, why, present_name, confirmed_name, order_id
        )
        SELECT $1, name, instrument_id, side, quantity, increment, order_type, limit_price, time_in_force, currency,
            $2, 'SENT', '', name, name, ''
        FROM sent
        ON CONFLICT (venue_id, client_order_id) DO UPDATE
        SET state = 'SENT', send_time = excluded.send_time, instrument_id = excluded.instrument_id,
            side = excluded.side, quantity = excluded.quantity, limit_price = excluded.limit_price
    )
    INSERT INTO execution.fix_name (venue_id, name, client_order_id, kind)
    SELECT $1, name, name, 'ORDER' FROM sent
    ON CONFLICT DO NOTHING
"""
_ADD_NAME = """
    INSERT INTO execution.fix_name (venue_id, name, client_order_id, kind) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
"""
_RENAME = "UPDATE execution.fix_order SET present_name = $3 WHERE venue_id = $1 AND client_order_id = $2"
_OPEN_INBOX = "INSERT INTO execution.fix_inbox (venue_id, position) VALUES ($1, 0) ON CONFLICT DO NOTHING"
# Locks the stream, so that nobody else adds reports; what others added before is visible to the next statement.
_BEGIN = """
    WITH inbox AS MATERIALIZED (SELECT position FROM execution.fix_inbox WHERE venue_id = $1 FOR UPDATE)
    SELECT inbox.position AS stream_end, named.name, named.kind, ordered.*
    FROM inbox LEFT JOIN (
        execution.fix_name AS named
        JOIN execution.fix_order AS ordered
            ON ordered.venue_id = named.venue_id AND ordered.client_order_id = named.client_order_id
    ) ON named.venue_id = $1 AND named.name = ANY($2::text[])
"""
# One statement for all that a turn brought: each costs an answer of the server.
_HEARD = """
    WITH fresh AS (
        SELECT row_number() OVER (ORDER BY place) AS number, said.*
        FROM unnest(
            $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[]
        ) WITH ORDINALITY AS said (report_id, client_order_id, kind, content, report_time, drop_copy, place)
        WHERE NOT EXISTS (
            SELECT FROM execution.fix_report AS known
            WHERE known.venue_id = $1 AND known.report_id = said.report_id
        )
    ), ended AS (
        UPDATE execution.fix_inbox SET position = position + (SELECT count(*) FROM fresh) WHERE venue_id = $1
    ), saved AS (
        UPDATE execution.fix_order AS was
        SET state = said.state, why = said.why, present_name = said.present_name,
            confirmed_name = said.confirmed_name, order_id = said.order_id,
            told_quantity = coalesce(said.quantity, was.told_quantity),
            told_filled = coalesce(said.filled, was.told_filled), told_price = coalesce(said.price, was.told_price),
            told_fees = coalesce(said.fees, was.told_fees), told_open = coalesce(said.open, was.told_open)
        FROM unnest(
            $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::numeric[],
            $16::numeric[], $17::numeric[], $18::numeric[], $19::boolean[]
        ) AS said (name, state, why, present_name, confirmed_name, order_id, quantity, filled, price, fees, open)
        WHERE was.venue_id = $1 AND was.client_order_id = said.name
    )
    INSERT INTO execution.fix_report
        (venue_id, position, report_id, client_order_id, kind, content, report_time, drop_copy)
    SELECT $1, $2::bigint + number, report_id, client_order_id, kind, CAST(content AS jsonb), report_time, drop_copy
    FROM fresh
"""
_SAID = """
    SELECT position, client_order_id, kind, CAST(content AS text) AS content, report_time, drop_copy
    FROM execution.fix_report WHERE venue_id = $1 AND position > $2 ORDER BY position LIMIT $3
"""
_INSTRUCT = """
    INSERT INTO execution.fix_instruction
        (venue_id, allocation_id, client_order_id, replaces, send_time, state, why)
    VALUES ($1, $2, $3, $4, $5, 'SENT', '')
    ON CONFLICT DO NOTHING
"""
_SAVE_INSTRUCTION = """
    UPDATE execution.fix_instruction SET state = $3, why = $4 WHERE venue_id = $1 AND allocation_id = $2
"""
_INSTRUCTIONS = """
    SELECT allocation_id, state, why FROM execution.fix_instruction
    WHERE venue_id = $1 AND allocation_id = ANY($2::text[])
"""


class Record:
    """The record of one venue's orders, through one connection of the driver: it is written with every message."""

    def __init__(self, driver: Driver, venue_id: VenueId) -> None:
        """Read and write through `driver`; what is written together must be in a transaction."""
        self._driver = driver
        self._venue_id = venue_id
        self._stream_end = 0

    async def orders(self, client_order_ids: Collection[str]) -> dict[str, KnownOrder]:
        """Return orders by the name under which they were sent first; those never sent are missing."""
        if not client_order_ids:
            return {}
        found = await self._driver.fetch(_ORDERS, self._venue_id, list(client_order_ids))
        return {row["client_order_id"]: _known_order(row) for row in found}

    async def by_names(self, names: Collection[str]) -> dict[str, tuple[NameKind, KnownOrder]]:
        """Return what names are about: the order, and whether the name is its own or of a change."""
        if not names:
            return {}
        found = await self._driver.fetch(_BY_NAMES, self._venue_id, list(names))
        return {row["name"]: (NameKind(row["kind"]), _known_order(row)) for row in found}

    async def told_orders(self) -> list[KnownOrder]:
        """Return all orders that the broker said something about, by name."""
        return [_known_order(row) for row in await self._driver.fetch(_TOLD_ORDERS, self._venue_id)]

    async def add_orders(self, intents: Sequence[Intent], at: datetime) -> None:
        """Write down orders that are about to be sent; those that are known to be absent are sent again."""
        await self._driver.execute(
            _ADD_ORDERS,
            self._venue_id,
            at,
            [each.client_order_id for each in intents],
            [each.instrument_id for each in intents],
            [each.side for each in intents],
            [each.quantity for each in intents],
            [each.increment for each in intents],
            [each.order_type for each in intents],
            [each.limit_price for each in intents],
            [each.time_in_force for each in intents],
            [each.currency for each in intents],
        )

    async def add_change(self, request_id: str, client_order_id: str, kind: NameKind) -> None:
        """Write down a change that is about to be asked for. A replaced order will be called by its request."""
        await self._driver.execute(_ADD_NAME, self._venue_id, request_id, client_order_id, kind)
        if kind is NameKind.REPLACE:
            await self._driver.execute(_RENAME, self._venue_id, client_order_id, request_id)

    async def begin_hearing(self, names: Collection[str]) -> dict[str, tuple[NameKind, KnownOrder]]:
        """Return what names are about, and let nobody else add to the stream until the transaction ends."""
        found = await self._driver.fetch(_BEGIN, self._venue_id, list(names))
        if not found:
            await self._driver.execute(_OPEN_INBOX, self._venue_id)
            found = await self._driver.fetch(_BEGIN, self._venue_id, list(names))
        self._stream_end = found[0]["stream_end"]
        named = [row for row in found if row["name"] is not None]
        return {row["name"]: (NameKind(row["kind"]), _known_order(row)) for row in named}

    async def heard(
        self, reports: Iterable[tuple[str, Report, datetime, bool]], orders: Collection[KnownOrder]
    ) -> None:
        """Add what was said to the stream, each report once, and record how orders stand; after `begin_hearing`.

        Args:
            reports: Name of the order, report, its time, whether it is a copy.
            orders: As the broker says that they are.
        """
        once = {each[1].report_id: each for each in reversed(list(reports))}
        said = list(reversed(once.values()))
        if not said and not orders:
            return
        texts = [report_text(report) for _, report, _, _ in said]
        told = [each.told for each in orders]
        await self._driver.execute(
            _HEARD,
            self._venue_id,
            self._stream_end,
            [report.report_id for _, report, _, _ in said],
            [name for name, _, _, _ in said],
            [kind for kind, _ in texts],
            [json.dumps(content) for _, content in texts],
            [time for _, _, time, _ in said],
            [copy for _, _, _, copy in said],
            [each.client_order_id for each in orders],
            [each.knowledge for each in orders],
            [each.why for each in orders],
            [each.present_name for each in orders],
            [each.confirmed_name for each in orders],
            [each.order_id for each in orders],
            [None if each is None else each.quantity for each in told],
            [None if each is None else each.filled_quantity for each in told],
            [None if each is None else each.average_price for each in told],
            [None if each is None else each.fees for each in told],
            [None if each is None else each.open for each in told],
        )

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

    async def instruct(self, instruction: AllocationInstruction, at: datetime) -> None:
        """Write down an allocation instruction that is about to be sent."""
        await self._driver.execute(
            _INSTRUCT,
            self._venue_id,
            instruction.allocation_id,
            instruction.client_order_id,
            instruction.replaces,
            at,
        )

    async def save_instruction(self, allocation_id: str, view: InstructionView) -> None:
        """Record what became of an allocation instruction."""
        await self._driver.execute(_SAVE_INSTRUCTION, self._venue_id, allocation_id, view.state, view.why)

    async def refuse_instruction(self, allocation_id: str, why: str) -> None:
        """Record that an instruction was not understood; harmless where there is none."""
        await self.save_instruction(allocation_id, InstructionView(InstructionState.REJECTED, why))

    async def instructions(self, allocation_ids: Collection[str]) -> Mapping[str, InstructionView]:
        """Return what became of allocation instructions."""
        found = await self._driver.fetch(_INSTRUCTIONS, self._venue_id, list(allocation_ids))
        return {row["allocation_id"]: InstructionView(InstructionState(row["state"]), row["why"]) for row in found}


def _known_order(row: Row) -> KnownOrder:
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
    )
    view = None
    if row["told_quantity"] is not None:
        view = VenueView(
            client_order_id=row["client_order_id"],
            quantity=row["told_quantity"],
            filled_quantity=row["told_filled"],
            gross_amount=row["told_filled"] * row["told_price"],
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
