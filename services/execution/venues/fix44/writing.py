"""Writes our record of orders at a broker, in the transactions of its sessions.

What is sent and what was said are written here and in the session's journal together, so that a death between the two
is impossible: most of it in the very statement that moves the session's numbers.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime

from services.execution.app.report_text import report_json
from services.execution.app.venue_port import AllocationInstruction, InstructionState, InstructionView, Intent
from services.execution.domain.order import Report
from services.execution.fix.postgres_unit import Part, PostgresUnit
from services.execution.venues.fix44.record import HeardOrder, NameKind, OrderKnowledge
from services.kernel.ids import VenueId
from services.runtime.arrays import plain_array, text_array
from services.runtime.slices import Slices

_KINDS = {each.value: each for each in NameKind}
_KNOWLEDGE = {each.value: each for each in OrderKnowledge}

# An order that is known to be absent is sent again, under the same name.
_ADD_SENT = """
    sent AS ({sent}), ordered AS (
        INSERT INTO execution.fix_order (
            venue_id, client_order_id, instrument_id, side, quantity, increment, order_type, limit_price,
            time_in_force, currency, settlement_date, send_time, state, why, present_name, confirmed_name, order_id
        )
        SELECT $1, name, instrument_id, side, quantity, increment, order_type, limit_price, time_in_force, currency,
            settlement_date, $2, 'SENT', '', name, name, ''
        FROM sent
        ON CONFLICT (venue_id, client_order_id) DO UPDATE
        SET state = 'SENT', send_time = excluded.send_time, instrument_id = excluded.instrument_id,
            side = excluded.side, quantity = excluded.quantity, limit_price = excluded.limit_price,
            settlement_date = excluded.settlement_date
    ), named AS (
        INSERT INTO execution.fix_name (venue_id, name, client_order_id, kind)
        SELECT $1, name, name, 'ORDER' FROM sent
        ON CONFLICT DO NOTHING
    )
"""
# Mostly it is one order: see `_JOURNAL_ONE` of the unit.
_ADD_ORDER = Part(
    _ADD_SENT.format(
        sent="""
        SELECT $3::text AS name, $4::text AS instrument_id, $5::text AS side, $6::numeric AS quantity,
            $7::numeric AS increment, $8::text AS order_type, $9::numeric AS limit_price, $10::text AS time_in_force,
            $11::text AS currency, $12::date AS settlement_date
    """
    )
)
_ADD_ORDERS = Part(
    _ADD_SENT.format(
        sent="""
        SELECT unnest($3::text::text[]) AS name, unnest($4::text::text[]) AS instrument_id,
            unnest($5::text::text[]) AS side, unnest($6::text::numeric[]) AS quantity,
            unnest($7::text::numeric[]) AS increment, unnest($8::text::text[]) AS order_type,
            unnest($9::text::numeric[]) AS limit_price, unnest($10::text::text[]) AS time_in_force,
            unnest($11::text::text[]) AS currency, unnest($12::text::date[]) AS settlement_date
    """
    )
)
_ADD_CHANGE = Part("""
    named AS (
        INSERT INTO execution.fix_name (venue_id, name, client_order_id, kind) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
    ), renamed AS (
        UPDATE execution.fix_order SET present_name = $2
        WHERE venue_id = $1 AND client_order_id = $3 AND $4 = 'REPLACE'
    )
""")
_OPEN_INBOX = "INSERT INTO execution.fix_inbox (venue_id, position) VALUES ($1, 0) ON CONFLICT DO NOTHING"
_LOOK = """
    WITH inbox AS MATERIALIZED (SELECT position FROM execution.fix_inbox WHERE venue_id = $1 {lock}),
    named AS MATERIALIZED (
        SELECT venue_id, name, kind, client_order_id FROM execution.fix_name
        WHERE venue_id = $1 AND name = ANY($2::text::text[])
    )
    SELECT inbox.position, named.name, named.kind, client_order_id, state, why, present_name, confirmed_name, order_id,
        instrument_id, currency
    FROM inbox LEFT JOIN (named JOIN execution.fix_order AS ordered USING (venue_id, client_order_id)) ON true
"""
_GLANCE = _LOOK.format(lock="")
# Locks the stream, so that nobody else adds reports; what others added before is visible to the next statement.
_BEGIN = _LOOK.format(lock="FOR UPDATE")
# Its plan is kept from when the tables were empty, whether PostgreSQL knew that or not: `told` and `said` name the
# venue of each row, so that rows are found by their whole keys, not by going through all of the venue's for each; those
# of `said` by `ANY` of one, which no merge can use, so that no walk along the index is thought of.
# Columns are unnested side by side where they are selected: as a table of several functions each is stored twice.
# An order may be asked to be called otherwise while what was said of it is applied: that name stays.
_HEARD = Part(
    """
    told AS MATERIALIZED (
        SELECT $1::text AS venue_id, unnest($3::text::text[]) AS report_id, unnest($4::text::text[]) AS client_order_id,
            unnest($5::text::text[]) AS kind, unnest($6::text::text[]) AS content,
            unnest($7::text::timestamptz[]) AS report_time, unnest($8::text::boolean[]) AS drop_copy,
            unnest($21::text::integer[]) AS place
    ), said AS MATERIALIZED (
        SELECT $1::text AS venue_id, unnest($9::text::text[]) AS name, unnest($10::text::text[]) AS state,
            unnest($11::text::text[]) AS why, unnest($12::text::text[]) AS name_before,
            unnest($13::text::text[]) AS present_name, unnest($14::text::text[]) AS confirmed_name,
            unnest($15::text::text[]) AS order_id, unnest($16::text::numeric[]) AS quantity,
            unnest($17::text::numeric[]) AS filled, unnest($18::text::numeric[]) AS price,
            unnest($19::text::numeric[]) AS fees, unnest($20::text::boolean[]) AS open
    ), fresh AS (
        SELECT row_number() OVER (ORDER BY place) AS number, told.*
        FROM told
        WHERE NOT EXISTS (
            SELECT FROM execution.fix_report AS known
            WHERE known.venue_id = told.venue_id AND known.report_id = told.report_id
        )
    ), ended AS (
        UPDATE execution.fix_inbox SET position = position + (SELECT count(*) FROM fresh)
        WHERE venue_id = $1 AND position = $2
        RETURNING venue_id
    ), saved AS (
        UPDATE execution.fix_order AS was
        SET state = said.state, why = said.why,
            present_name = CASE WHEN was.present_name = said.name_before THEN said.present_name
                ELSE was.present_name END,
            confirmed_name = said.confirmed_name, order_id = said.order_id,
            told_quantity = coalesce(said.quantity, was.told_quantity),
            told_filled = coalesce(said.filled, was.told_filled), told_price = coalesce(said.price, was.told_price),
            told_fees = coalesce(said.fees, was.told_fees), told_open = coalesce(said.open, was.told_open)
        FROM said
        WHERE was.venue_id = ANY(ARRAY[said.venue_id]) AND was.client_order_id = ANY(ARRAY[said.name])
    ), reported AS (
        INSERT INTO execution.fix_report
            (venue_id, position, report_id, client_order_id, kind, content, report_time, drop_copy)
        SELECT $1, $2::bigint + number, report_id, client_order_id, kind, CAST(content AS jsonb), report_time, drop_copy
        FROM fresh
    )
""",
    guard="ended",
)
_INSTRUCT = Part("""
    instructed AS (
        INSERT INTO execution.fix_instruction
            (venue_id, allocation_id, client_order_id, replaces, send_time, state, why)
        SELECT $1, told.allocation_id, told.client_order_id, told.replaces, $2, 'SENT', ''
        FROM unnest($3::text::text[], $4::text::text[], $5::text::text[])
            AS told (allocation_id, client_order_id, replaces)
        ON CONFLICT DO NOTHING
    )
""")
_SAVE_INSTRUCTION = """
    UPDATE execution.fix_instruction SET state = $3, why = $4 WHERE venue_id = $1 AND allocation_id = $2
"""


class Writing:
    """What one transaction writes of one venue's orders."""

    def __init__(self, unit: PostgresUnit, venue_id: VenueId) -> None:
        """Write within `unit`."""
        self._unit = unit
        self._venue_id = venue_id
        self._stream_end = 0
        self._names: dict[str, str] = {}

    async def add_orders(self, intents: Sequence[Intent], at: datetime) -> None:
        """Write down orders that are about to be sent; those that are known to be absent are sent again."""
        if len(intents) == 1:
            (one,) = intents
            await self._unit.beside(
                _ADD_ORDER,
                self._venue_id,
                at,
                one.client_order_id,
                one.instrument_id,
                one.side,
                one.quantity,
                one.increment,
                one.order_type,
                one.limit_price,
                one.time_in_force,
                one.currency,
                one.settlement_date,
            )
            return
        await self._unit.beside(
            _ADD_ORDERS,
            self._venue_id,
            at,
            text_array([each.client_order_id for each in intents]),
            text_array([each.instrument_id for each in intents]),
            text_array([each.side for each in intents]),
            plain_array([each.quantity for each in intents]),
            plain_array([each.increment for each in intents]),
            text_array([each.order_type for each in intents]),
            plain_array([each.limit_price for each in intents]),
            text_array([each.time_in_force for each in intents]),
            text_array([each.currency for each in intents]),
            plain_array([each.settlement_date for each in intents]),
        )

    async def add_change(self, request_id: str, client_order_id: str, kind: NameKind) -> None:
        """Write down a change that is about to be asked for. A replaced order will be called by its request."""
        await self._unit.beside(_ADD_CHANGE, self._venue_id, request_id, client_order_id, kind)

    async def begin_hearing(
        self, names: Collection[str], again: Callable[[], Awaitable[None]] | None = None
    ) -> dict[str, tuple[NameKind, HeardOrder]]:
        """Return what names are about, as of an end of the stream that is still its end when `heard` is written.

        Args:
            names: ClOrdIDs.
            again: Hears all once more, without an `again` of its own, where another session added to the stream
                meanwhile: without it nobody can until the transaction ends, which costs two answers of the server more.
        """
        glancing = None if again is None else await self._unit.glanced(again)
        driver, look = (await self._unit.begun(), _BEGIN) if glancing is None else (glancing, _GLANCE)
        wanted = text_array(list(names))
        found = await driver.fetch(look, self._venue_id, wanted)
        if not found:
            await driver.execute(_OPEN_INBOX, self._venue_id)
            found = await driver.fetch(look, self._venue_id, wanted)
        self._stream_end = found[0]["position"]
        named = {}
        for _, name, kind, client_order_id, state, *parts in found:
            if name is not None:
                order = HeardOrder(client_order_id, _KNOWLEDGE[state], *parts)
                named[name] = (_KINDS[kind], order)
                self._names[client_order_id] = order.present_name
        return named

    async def heard(
        self, reports: Iterable[tuple[str, Report, datetime, bool]], orders: Collection[HeardOrder]
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
        kinds, contents, slices = [], [], Slices()
        for _, report, _, _ in said:
            kind, content = report_json(report)
            kinds.append(kind)
            contents.append(content)
            if slices.over:
                await slices.rest()
        told = [each.told for each in orders]
        await self._unit.beside(
            _HEARD,
            self._venue_id,
            self._stream_end,
            text_array([report.report_id for _, report, _, _ in said]),
            text_array([name for name, _, _, _ in said]),
            text_array(kinds),
            text_array(contents),
            plain_array([time for _, _, time, _ in said]),
            plain_array([copy for _, _, _, copy in said]),
            text_array([each.client_order_id for each in orders]),
            text_array([each.knowledge for each in orders]),
            text_array([each.why for each in orders]),
            text_array([self._names[each.client_order_id] for each in orders]),
            text_array([each.present_name for each in orders]),
            text_array([each.confirmed_name for each in orders]),
            text_array([each.order_id for each in orders]),
            plain_array([None if each is None else each.quantity for each in told]),
            plain_array([None if each is None else each.filled_quantity for each in told]),
            plain_array([None if each is None else each.average_price for each in told]),
            plain_array([None if each is None else each.fees for each in told]),
            plain_array([None if each is None else each.open for each in told]),
            plain_array(range(len(said))),
        )

    async def instruct(self, instructions: Sequence[AllocationInstruction], at: datetime) -> None:
        """Write down allocation instructions that are about to be sent."""
        await self._unit.beside(
            _INSTRUCT,
            self._venue_id,
            at,
            text_array([each.allocation_id for each in instructions]),
            text_array([each.client_order_id for each in instructions]),
            text_array([each.replaces for each in instructions]),
        )

    async def save_instruction(self, allocation_id: str, view: InstructionView) -> None:
        """Record what became of an allocation instruction."""
        driver = await self._unit.begun()
        await driver.execute(_SAVE_INSTRUCTION, self._venue_id, allocation_id, view.state, view.why)

    async def refuse_instruction(self, allocation_id: str, why: str) -> None:
        """Record that an instruction was not understood; harmless where there is none."""
        await self.save_instruction(allocation_id, InstructionView(InstructionState.REJECTED, why))
