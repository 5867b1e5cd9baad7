"""Plans that were submitted, and what new ones are checked against."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Integer, Time, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from services.execution.app.records import CLOSED, KnownPlan, PlanBasis, PlanRecord
from services.execution.domain.exchanges import Exchange
from services.execution.domain.expected_cost import DayVolume
from services.execution.domain.limits import LimitKey, LimitKind, Usage
from services.execution.domain.trading_state import Halt, Scope
from services.execution.domain.words import ReferencePrice
from services.execution.store import plan_rows
from services.execution.store.bulk import insert_rows
from services.execution.tables import (
    account_order,
    closing_price,
    day_usage,
    halt,
    market_volume,
    plan,
    reference_price,
)
from services.kernel.ids import AccountId, InstrumentId, PlanId
from services.runtime.arrays import text_array
from services.runtime.write_behind import WriteBehind

# Advisory locks of this schema; the numbers only have to differ from each other and from the runtime's hashes.
LEDGER_LOCK = 0x6578_6563_0001
GATE_LOCK = 0x6578_6563_0002
_LOCK_LEDGER = text(f"SELECT pg_advisory_xact_lock({LEDGER_LOCK})")
_PASS_GATE = text(f"SELECT pg_advisory_xact_lock_shared({GATE_LOCK})")
_CLOSE_GATE = text(f"SELECT pg_advisory_xact_lock({GATE_LOCK})")

# How far back the usual volume of a bucket is looked for.
CURVE_DAYS = timedelta(days=28)

_USAGE = text("""
    SELECT kind, subject_id, orders, amount, sold FROM execution.day_usage
    WHERE trade_date = :day AND (kind, subject_id) IN (
        SELECT unnest(CAST(CAST(:kinds AS text) AS text[])), unnest(CAST(CAST(:names AS text) AS text[]))
    )
""")
# For each instrument one look at the end of the index, and then the buckets of one day.
_DAY_VOLUMES = text("""
    SELECT wanted.instrument_id, last.midnight, traded.units
    FROM unnest(CAST(CAST(:names AS text) AS text[])) AS wanted (instrument_id)
    CROSS JOIN LATERAL (
        SELECT date_trunc('day', bucket_time, 'UTC') AS midnight FROM execution.market_volume
        WHERE instrument_id = wanted.instrument_id AND bucket_time >= :since AND bucket_time < :until AND volume > 0
        ORDER BY bucket_time DESC LIMIT 1
    ) AS last
    CROSS JOIN LATERAL (
        SELECT sum(volume) AS units FROM execution.market_volume
        WHERE instrument_id = wanted.instrument_id
            AND bucket_time >= last.midnight AND bucket_time < last.midnight + interval '24 hours'
    ) AS traded
""")
_ADD_USAGE = """(trade_date, kind, subject_id) DO UPDATE SET
    orders = was.orders + excluded.orders, amount = was.amount + excluded.amount, sold = was.sold + excluded.sold"""

CLOSED_STATES = tuple(sorted(CLOSED))
OPEN_STATES = ("WAITING", "READY", "WORKING")


class Checks:
    """The part of the ledger that intake and the switch use."""

    _connection: WriteBehind

    async def lock(self) -> None:
        """Wait until no other transaction changes orders or limits."""
        await self._connection.execute(_LOCK_LEDGER)

    async def pass_gate(self) -> None:
        """Wait until no halt is being written."""
        await self._connection.execute(_PASS_GATE)

    async def close_gate(self) -> None:
        """Wait until no order is being sent."""
        await self._connection.execute(_CLOSE_GATE)

    async def plans(self, plan_ids: Collection[PlanId]) -> dict[PlanId, KnownPlan]:
        """Return the plans submitted before."""
        if not plan_ids:
            return {}
        found = await self._connection.execute(
            select(plan.c.plan_id, plan.c.payload_hash, plan.c.refusals).where(
                plan.c.plan_id == func.any(sorted(plan_ids))
            )
        )
        return {known.plan_id: known for known in map(plan_rows.known_plan, found)}

    async def plan_bases(self, plan_ids: Collection[PlanId]) -> dict[PlanId, PlanBasis]:
        """Return what plans rest on."""
        if not plan_ids:
            return {}
        found = await self._connection.execute(
            select(plan.c.plan_id, plan.c.account_id, plan.c.policy_version_hashes).where(
                plan.c.plan_id == func.any(sorted(plan_ids))
            )
        )
        return {basis.plan_id: basis for basis in map(plan_rows.basis_of, found)}

    async def add_plans(self, plans: Sequence[PlanRecord]) -> None:
        """Record plans."""
        await insert_rows(self._connection, plan, [plan_rows.plan_values(each) for each in plans])

    async def usage(self, day: date, keys: Collection[LimitKey]) -> dict[LimitKey, Usage]:
        """Return what was ordered on `day`."""
        if not keys:
            return {}
        wanted = {
            "day": day,
            "kinds": text_array([key.kind for key in keys]),
            "names": text_array([key.subject_id for key in keys]),
        }
        found = await self._connection.execute(_USAGE, wanted)
        return {LimitKey(LimitKind(row.kind), row.subject_id): Usage(row.orders, row.amount, row.sold) for row in found}

    async def add_usage(self, day: date, used: Mapping[LimitKey, Usage]) -> None:
        """Count what is ordered on `day`."""
        values = [
            {
                "trade_date": day,
                "kind": key.kind,
                "subject_id": key.subject_id,
                "orders": used[key].orders,
                "amount": used[key].amount,
                "sold": used[key].sold,
            }
            for key in sorted(used)
        ]
        await insert_rows(self._connection, day_usage, values, _ADD_USAGE)

    async def prices(self, instrument_ids: Collection[InstrumentId]) -> dict[InstrumentId, ReferencePrice]:
        """Return our reference prices."""
        if not instrument_ids:
            return {}
        found = await self._connection.execute(
            select(
                reference_price.c.instrument_id,
                reference_price.c.price,
                reference_price.c.currency,
                reference_price.c.as_of_time,
                reference_price.c.source,
            ).where(reference_price.c.instrument_id.in_(sorted(instrument_ids)))
        )
        return {price.instrument_id: price for price in map(plan_rows.price_of, found)}

    async def put_prices(self, prices: Sequence[ReferencePrice]) -> int:
        """Keep those that are newer than what is known, and return how many were."""
        if not prices:
            return 0
        statement = upsert(reference_price).values([plan_rows.price_values(each) for each in prices])
        newer = statement.on_conflict_do_update(
            index_elements=[reference_price.c.instrument_id],
            set_={name: statement.excluded[name] for name in ("price", "currency", "as_of_time", "source")},
            where=reference_price.c.as_of_time < statement.excluded.as_of_time,
        ).returning(reference_price.c.instrument_id)
        return len((await self._connection.execute(newer)).all())

    async def put_closes(self, prices: Sequence[ReferencePrice], exchange: Exchange) -> None:
        """Keep the last price of each instrument on each of the exchange's dates."""
        if not prices:
            return
        last: dict[tuple[str, date], ReferencePrice] = {}
        for each in sorted(prices, key=lambda each: each.as_of_time):
            last[each.instrument_id, exchange.date_at(each.as_of_time)] = each
        statement = upsert(closing_price).values(
            [
                {
                    "instrument_id": name,
                    "day": day,
                    "price": each.price,
                    "currency": each.currency,
                    "as_of_time": each.as_of_time,
                }
                for (name, day), each in sorted(last.items())
            ]
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[closing_price.c.instrument_id, closing_price.c.day],
                set_={name: statement.excluded[name] for name in ("price", "currency", "as_of_time")},
                where=closing_price.c.as_of_time <= statement.excluded.as_of_time,
            )
        )

    async def put_volumes(
        self,
        volumes: Mapping[InstrumentId, Decimal],
        bucket_time: datetime,
        values: Mapping[InstrumentId, Decimal] | None = None,
    ) -> None:
        """Record what was traded in a bucket of time so far, and for how much; less than is known changes nothing."""
        if not volumes:
            return
        known = values or {}
        statement = upsert(market_volume).values(
            [
                {"instrument_id": name, "bucket_time": bucket_time, "volume": volume, "value": known.get(name)}
                for name, volume in sorted(volumes.items())
            ]
        )
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[market_volume.c.instrument_id, market_volume.c.bucket_time],
                set_={
                    "volume": func.greatest(market_volume.c.volume, statement.excluded.volume),
                    "value": func.greatest(market_volume.c.value, statement.excluded.value),
                },
            )
        )

    async def volumes(
        self, instrument_ids: Collection[InstrumentId], bucket_time: datetime
    ) -> dict[InstrumentId, Decimal]:
        """Return what was traded in a bucket of time so far; instruments we were told nothing of are missing."""
        found = await self._connection.execute(
            select(market_volume.c.instrument_id, market_volume.c.volume).where(
                market_volume.c.instrument_id == func.any(sorted(instrument_ids)),
                market_volume.c.bucket_time == bucket_time,
            )
        )
        return {InstrumentId(row.instrument_id): row.volume for row in found}

    async def volume_curves(
        self, instrument_ids: Collection[InstrumentId], before: datetime
    ) -> dict[InstrumentId, dict[int, Decimal]]:
        """Return what was traded on average in each bucket of the four weeks before the day of `before`.

        Buckets are named by their second of the day, UTC.
        """
        today = before.replace(hour=0, minute=0, second=0, microsecond=0)
        second = func.extract("epoch", market_volume.c.bucket_time.op("AT TIME ZONE")("UTC").cast(Time)).cast(Integer)
        found = await self._connection.execute(
            select(
                market_volume.c.instrument_id, second.label("second"), func.avg(market_volume.c.volume).label("volume")
            )
            .where(
                market_volume.c.instrument_id == func.any(sorted(instrument_ids)),
                market_volume.c.bucket_time < today,
                market_volume.c.bucket_time >= today - CURVE_DAYS,
            )
            .group_by(market_volume.c.instrument_id, second)
        )
        curves: dict[InstrumentId, dict[int, Decimal]] = {}
        for row in found:
            curves.setdefault(InstrumentId(row.instrument_id), {})[row.second] = row.volume
        return curves

    async def day_volumes(
        self, instrument_ids: Collection[InstrumentId], before: datetime
    ) -> dict[InstrumentId, DayVolume]:
        """Return what was traded in all on the last day (UTC) before that of `before` of which we were told anything.

        Instruments of which we were told nothing in the four weeks before are missing.
        """
        if not instrument_ids:
            return {}
        today = before.replace(hour=0, minute=0, second=0, microsecond=0)
        wanted = {"names": text_array(sorted(instrument_ids)), "since": today - CURVE_DAYS, "until": today}
        found = await self._connection.execute(_DAY_VOLUMES, wanted)
        return {
            InstrumentId(row.instrument_id): DayVolume(row.units, row.midnight.astimezone(UTC).date()) for row in found
        }

    async def open_instruments(self, account_ids: Collection[AccountId]) -> frozenset[tuple[AccountId, InstrumentId]]:
        """Return what accounts have open orders in."""
        if not account_ids:
            return frozenset()
        found = await self._connection.execute(
            select(account_order.c.account_id, account_order.c.instrument_id).where(
                account_order.c.account_id == func.any(sorted(account_ids)), account_order.c.state.in_(OPEN_STATES)
            )
        )
        return frozenset((AccountId(row.account_id), InstrumentId(row.instrument_id)) for row in found)

    async def halts(self) -> dict[Scope, Halt]:
        """Return the halts in force."""
        found = await self._connection.execute(
            select(
                halt.c.kind,
                halt.c.subject_id,
                halt.c.state,
                halt.c.halted_by,
                halt.c.halt_time,
                halt.c.why,
                halt.c.persons,
            )
        )
        return {each.scope: each for each in map(plan_rows.halt_of, found)}

    async def put_halt(self, each: Halt) -> None:
        """Set a halt, in place of another of the same scope."""
        statement = upsert(halt).values(plan_rows.halt_values(each))
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[halt.c.kind, halt.c.subject_id],
                set_={name: statement.excluded[name] for name in ("state", "halted_by", "halt_time", "why", "persons")},
            )
        )

    async def remove_halt(self, scope: Scope) -> None:
        """Lift a halt."""
        await self._connection.execute(
            delete(halt).where(halt.c.kind == scope.kind, halt.c.subject_id == scope.subject_id)
        )
