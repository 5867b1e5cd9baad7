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
from typing import Any, TypeAlias

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

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
from services.execution.venues.fix44 import tables
from services.execution.venues.fix44.hearing import Standing
from services.kernel.ids import InstrumentId, VenueId

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

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


_ADD_ORDERS = text("""
    INSERT INTO execution.fix_order (
        venue_id, client_order_id, instrument_id, side, quantity, increment, order_type, limit_price, time_in_force,
        currency, send_time, state, why, present_name, confirmed_name, order_id
    )
    SELECT :venue_id, name, instrument_id, side, quantity, increment, order_type, limit_price, time_in_force, currency,
        :time, 'SENT', '', name, name, ''
    FROM unnest(
        CAST(:names AS text[]), CAST(:instruments AS text[]), CAST(:sides AS text[]), CAST(:quantities AS numeric[]),
        CAST(:increments AS numeric[]), CAST(:order_types AS text[]), CAST(:limit_prices AS numeric[]),
        CAST(:times_in_force AS text[]), CAST(:currencies AS text[])
    ) AS sent (name, instrument_id, side, quantity, increment, order_type, limit_price, time_in_force, currency)
    ON CONFLICT (venue_id, client_order_id) DO UPDATE
    SET state = 'SENT', send_time = excluded.send_time, instrument_id = excluded.instrument_id, side = excluded.side,
        quantity = excluded.quantity, limit_price = excluded.limit_price
""")
_ADD_NAMES = text("""
    INSERT INTO execution.fix_name (venue_id, name, client_order_id, kind)
    SELECT :venue_id, name, client_order_id, kind
    FROM unnest(CAST(:names AS text[]), CAST(:orders AS text[]), CAST(:kinds AS text[]))
        AS named (name, client_order_id, kind)
    ON CONFLICT DO NOTHING
""")
_RENAME = text("""
    UPDATE execution.fix_order SET present_name = :name
    WHERE venue_id = :venue_id AND client_order_id = :client_order_id
""")
_SAVE_ORDERS = text("""
    UPDATE execution.fix_order AS was
    SET state = said.state, why = said.why, present_name = said.present_name, confirmed_name = said.confirmed_name,
        order_id = said.order_id, told_quantity = coalesce(said.quantity, was.told_quantity),
        told_filled = coalesce(said.filled, was.told_filled), told_price = coalesce(said.price, was.told_price),
        told_fees = coalesce(said.fees, was.told_fees), told_open = coalesce(said.open, was.told_open)
    FROM unnest(
        CAST(:names AS text[]), CAST(:states AS text[]), CAST(:whys AS text[]), CAST(:present_names AS text[]),
        CAST(:confirmed_names AS text[]), CAST(:order_ids AS text[]), CAST(:quantities AS numeric[]),
        CAST(:filled AS numeric[]), CAST(:prices AS numeric[]), CAST(:fees AS numeric[]), CAST(:open AS boolean[])
    ) AS said (name, state, why, present_name, confirmed_name, order_id, quantity, filled, price, fees, open)
    WHERE was.venue_id = :venue_id AND was.client_order_id = said.name
""")
_OPEN_INBOX = text("""
    INSERT INTO execution.fix_inbox (venue_id, position) VALUES (:venue_id, 0) ON CONFLICT DO NOTHING
""")
_LOCK_INBOX = text("SELECT position FROM execution.fix_inbox WHERE venue_id = :venue_id FOR UPDATE")
# The inbox is locked: nobody else adds reports, and what others added before is visible.
_SAY = text("""
    WITH fresh AS (
        SELECT row_number() OVER (ORDER BY place) AS number, said.*
        FROM unnest(
            CAST(:report_ids AS text[]), CAST(:names AS text[]), CAST(:kinds AS text[]), CAST(:contents AS text[]),
            CAST(:times AS timestamptz[]), CAST(:copies AS boolean[])
        ) WITH ORDINALITY AS said (report_id, client_order_id, kind, content, report_time, drop_copy, place)
        WHERE NOT EXISTS (
            SELECT FROM execution.fix_report AS known
            WHERE known.venue_id = :venue_id AND known.report_id = said.report_id
        )
    ), ended AS (
        UPDATE execution.fix_inbox SET position = position + (SELECT count(*) FROM fresh) WHERE venue_id = :venue_id
    )
    INSERT INTO execution.fix_report
        (venue_id, position, report_id, client_order_id, kind, content, report_time, drop_copy)
    SELECT :venue_id, :position + number, report_id, client_order_id, kind, CAST(content AS jsonb), report_time,
        drop_copy
    FROM fresh
    RETURNING report_id
""")
_INSTRUCT = text("""
    INSERT INTO execution.fix_instruction
        (venue_id, allocation_id, client_order_id, replaces, send_time, state, why)
    VALUES (:venue_id, :allocation_id, :client_order_id, :replaces, :time, 'SENT', '')
    ON CONFLICT DO NOTHING
""")
_SAVE_INSTRUCTION = text("""
    UPDATE execution.fix_instruction SET state = :state, why = :why
    WHERE venue_id = :venue_id AND allocation_id = :allocation_id
""")

_ORDER = tables.order.c


class Record:
    """The record of one venue's orders, through one connection."""

    def __init__(self, connection: AsyncConnection, venue_id: VenueId) -> None:
        """Read and write through `connection`, which has begun."""
        self._connection = connection
        self._venue_id = venue_id

    async def orders(self, client_order_ids: Collection[str]) -> dict[str, KnownOrder]:
        """Return orders by the name under which they were sent first; those never sent are missing."""
        if not client_order_ids:
            return {}
        found = await self._connection.execute(
            select(*_ORDER).where(
                _ORDER.venue_id == self._venue_id, _ORDER.client_order_id == func.any(sorted(client_order_ids))
            )
        )
        return {row.client_order_id: _known_order(row) for row in found}

    async def by_names(self, names: Collection[str]) -> dict[str, tuple[NameKind, KnownOrder]]:
        """Return what names are about: the order, and whether the name is its own or of a change."""
        if not names:
            return {}
        found = await self._connection.execute(
            select(tables.name.c.name, tables.name.c.kind, *_ORDER)
            .join_from(
                tables.name,
                tables.order,
                (tables.name.c.venue_id == _ORDER.venue_id) & (tables.name.c.client_order_id == _ORDER.client_order_id),
            )
            .where(tables.name.c.venue_id == self._venue_id, tables.name.c.name == func.any(sorted(names)))
        )
        return {row.name: (NameKind(row.kind), _known_order(row)) for row in found}

    async def told_orders(self) -> list[KnownOrder]:
        """Return all orders that the broker said something about, by name."""
        found = await self._connection.execute(
            select(*_ORDER)
            .where(_ORDER.venue_id == self._venue_id, _ORDER.state == OrderKnowledge.KNOWN)
            .order_by(_ORDER.client_order_id)
        )
        return [_known_order(row) for row in found]

    async def add_orders(self, intents: Sequence[Intent], at: datetime) -> None:
        """Write down orders that are about to be sent; those that are known to be absent are sent again."""
        names = [each.client_order_id for each in intents]
        await self._connection.execute(
            _ADD_ORDERS,
            {
                "venue_id": self._venue_id,
                "names": names,
                "instruments": [each.instrument_id for each in intents],
                "sides": [each.side for each in intents],
                "quantities": [each.quantity for each in intents],
                "increments": [each.increment for each in intents],
                "order_types": [each.order_type for each in intents],
                "limit_prices": [each.limit_price for each in intents],
                "times_in_force": [each.time_in_force for each in intents],
                "currencies": [each.currency for each in intents],
                "time": at,
            },
        )
        await self._add_names(names, names, NameKind.ORDER)

    async def add_change(self, request_id: str, client_order_id: str, kind: NameKind) -> None:
        """Write down a change that is about to be asked for. A replaced order will be called by its request."""
        await self._add_names([request_id], [client_order_id], kind)
        if kind is NameKind.REPLACE:
            await self._connection.execute(
                _RENAME, {"venue_id": self._venue_id, "client_order_id": client_order_id, "name": request_id}
            )

    async def _add_names(self, names: Sequence[str], orders: Sequence[str], kind: NameKind) -> None:
        await self._connection.execute(
            _ADD_NAMES,
            {"venue_id": self._venue_id, "names": names, "orders": orders, "kinds": [kind] * len(names)},
        )

    async def save(self, orders: Sequence[KnownOrder]) -> None:
        """Record what the broker said about orders."""
        if not orders:
            return
        told = [each.told for each in orders]
        await self._connection.execute(
            _SAVE_ORDERS,
            {
                "venue_id": self._venue_id,
                "names": [each.client_order_id for each in orders],
                "states": [each.knowledge for each in orders],
                "whys": [each.why for each in orders],
                "present_names": [each.present_name for each in orders],
                "confirmed_names": [each.confirmed_name for each in orders],
                "order_ids": [each.order_id for each in orders],
                "quantities": [None if each is None else each.quantity for each in told],
                "filled": [None if each is None else each.filled_quantity for each in told],
                "prices": [None if each is None else each.average_price for each in told],
                "fees": [None if each is None else each.fees for each in told],
                "open": [None if each is None else each.open for each in told],
            },
        )

    async def say(self, reports: Iterable[tuple[str, Report, datetime, bool]]) -> frozenset[str]:
        """Add reports to the stream: name of the order, report, its time, whether it is a copy.

        Returns the ids of those that are new. From the first call on, nobody else adds any until the transaction ends.
        """
        once = {each[1].report_id: each for each in reversed(list(reports))}
        said = list(reversed(once.values()))
        if not said:
            return frozenset()
        await self._connection.execute(_OPEN_INBOX, {"venue_id": self._venue_id})
        position = (await self._connection.execute(_LOCK_INBOX, {"venue_id": self._venue_id})).scalar_one()
        texts = [report_text(report) for _, report, _, _ in said]
        fresh = await self._connection.execute(
            _SAY,
            {
                "venue_id": self._venue_id,
                "position": position,
                "report_ids": [report.report_id for _, report, _, _ in said],
                "names": [name for name, _, _, _ in said],
                "kinds": [kind for kind, _ in texts],
                "contents": [json.dumps(content) for _, content in texts],
                "times": [time for _, _, time, _ in said],
                "copies": [copy for _, _, _, copy in said],
            },
        )
        return frozenset(fresh.scalars())

    async def said(self, after: int, limit: int) -> list[VenueReport]:
        """Return the stream after a position."""
        kept = tables.report.c
        found = await self._connection.execute(
            select(kept.position, kept.client_order_id, kept.kind, kept.content, kept.report_time, kept.drop_copy)
            .where(kept.venue_id == self._venue_id, kept.position > after)
            .order_by(kept.position)
            .limit(limit)
        )
        return [
            VenueReport(
                row.position, row.client_order_id, report_of(row.kind, row.content), row.report_time, row.drop_copy
            )
            for row in found
        ]

    async def instruct(self, instruction: AllocationInstruction, at: datetime) -> None:
        """Write down an allocation instruction that is about to be sent."""
        await self._connection.execute(
            _INSTRUCT,
            {
                "venue_id": self._venue_id,
                "allocation_id": instruction.allocation_id,
                "client_order_id": instruction.client_order_id,
                "replaces": instruction.replaces,
                "time": at,
            },
        )

    async def save_instruction(self, allocation_id: str, view: InstructionView) -> None:
        """Record what became of an allocation instruction."""
        await self._connection.execute(
            _SAVE_INSTRUCTION,
            {"venue_id": self._venue_id, "allocation_id": allocation_id, "state": view.state, "why": view.why},
        )

    async def refuse_instruction(self, allocation_id: str, why: str) -> None:
        """Record that an instruction was not understood; harmless where there is none."""
        await self.save_instruction(allocation_id, InstructionView(InstructionState.REJECTED, why))

    async def instructions(self, allocation_ids: Collection[str]) -> Mapping[str, InstructionView]:
        """Return what became of allocation instructions."""
        kept = tables.instruction.c
        found = await self._connection.execute(
            select(kept.allocation_id, kept.state, kept.why).where(
                kept.venue_id == self._venue_id, kept.allocation_id == func.any(sorted(allocation_ids))
            )
        )
        return {row.allocation_id: InstructionView(InstructionState(row.state), row.why) for row in found}


def _known_order(row: AnyRow) -> KnownOrder:
    intent = Intent(
        client_order_id=row.client_order_id,
        instrument_id=InstrumentId(row.instrument_id),
        side=Side(row.side),
        quantity=row.quantity,
        increment=row.increment,
        order_type=OrderType(row.order_type),
        limit_price=row.limit_price,
        time_in_force=TimeInForce(row.time_in_force),
        currency=row.currency,
    )
    view = None
    if row.told_quantity is not None:
        view = VenueView(
            client_order_id=row.client_order_id,
            quantity=row.told_quantity,
            filled_quantity=row.told_filled,
            gross_amount=row.told_filled * row.told_price,
            fees=row.told_fees,
            open=row.told_open,
            amount_tolerance=row.told_filled * Decimal(5).scaleb(-AVERAGE_PRICE_DECIMALS - 1),
        )
    return KnownOrder(
        intent=intent,
        knowledge=OrderKnowledge(row.state),
        why=row.why,
        present_name=row.present_name,
        confirmed_name=row.confirmed_name,
        order_id=row.order_id,
        view=view,
    )
