"""What custodians said: of accounts last, and of movements that are no trades."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from services.execution.domain.custody import Holdings, Spoken
from services.execution.domain.movements import CustodianMovement, MovementKey, MovementKind, key_of
from services.execution.store.rows import AnyRow, Values
from services.execution.tables import custodian_account, custodian_movement
from services.kernel.ids import AccountId, InstrumentId
from services.runtime.write_behind import WriteBehind

_ACCOUNT = custodian_account.c
_MOVEMENT = custodian_movement.c


class Custodians:
    """The part of the ledger with what custodians said."""

    _connection: WriteBehind

    async def custodian_accounts(self, custodian: str, account_ids: Collection[AccountId]) -> dict[AccountId, Spoken]:
        """Return what a custodian said of accounts last; those it never spoke of are missing."""
        found = await self._connection.execute(
            select(*_ACCOUNT).where(
                _ACCOUNT.custodian == custodian, _ACCOUNT.account_id == func.any(sorted(account_ids))
            )
        )
        return {AccountId(row.account_id): _spoken(row) for row in found}

    async def put_custodian_accounts(self, custodian: str, day: date, accounts: Mapping[AccountId, Holdings]) -> None:
        """Record what a custodian says of accounts; the first day that it spoke of them stays."""
        values: list[Values] = [
            {
                "custodian": custodian,
                "account_id": account_id,
                "day": day,
                "positions": {name: f"{units:f}" for name, units in holdings.positions.items()},
                "cash": holdings.cash,
                "first_day": day,
            }
            for account_id, holdings in sorted(accounts.items())
        ]
        if not values:
            return
        statement = upsert(custodian_account)
        changed = {name: statement.excluded[name] for name in ("day", "positions", "cash")}
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["custodian", "account_id"],
                set_={**changed, "first_day": func.coalesce(_ACCOUNT.first_day, _ACCOUNT.day)},
            ),
            values,
        )

    async def movements(
        self, custodian: str, account_ids: Collection[AccountId], since: date
    ) -> dict[MovementKey, CustodianMovement]:
        """Return what a custodian told of accounts' movements of a day and of later ones."""
        found = await self._connection.execute(
            select(*_MOVEMENT).where(
                _MOVEMENT.custodian == custodian,
                _MOVEMENT.account_id == func.any(sorted(account_ids)),
                _MOVEMENT.day >= since,
            )
        )
        return {key_of(each): each for each in map(_movement, found)}

    async def put_movements(self, custodian: str, movements: Sequence[CustodianMovement]) -> None:
        """Record what a custodian told, instead of what it told of the same before."""
        if not movements:
            return
        statement = upsert(custodian_movement)
        said = statement.excluded
        await self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=["custodian", "account_id", "day", "reference"],
                set_={name: said[name] for name in ("kind", "instrument_id", "units", "cash")},
            ),
            [
                {
                    "custodian": custodian,
                    "account_id": each.account_id,
                    "day": each.day,
                    "reference": each.reference,
                    "kind": each.kind,
                    "instrument_id": each.instrument_id,
                    "units": each.units,
                    "cash": each.cash,
                }
                for each in movements
            ],
        )


def _spoken(row: AnyRow) -> Spoken:
    positions = {InstrumentId(name): Decimal(units) for name, units in row.positions.items()}
    return Spoken(row.day, Holdings(positions, row.cash), first_day=row.first_day or row.day)


def _movement(row: AnyRow) -> CustodianMovement:
    return CustodianMovement(
        account_id=AccountId(row.account_id),
        reference=row.reference,
        kind=MovementKind(row.kind),
        day=row.day,
        instrument_id=None if row.instrument_id is None else InstrumentId(row.instrument_id),
        units=row.units,
        cash=row.cash,
    )
