"""What custodians said before movements were told has no first day: the last one stands for it, and stays."""

from datetime import date
from decimal import Decimal

from sqlalchemy import text

from services.execution.domain.custody import Holdings, Spoken

BEFORE, NOW = date(2022, 12, 27), date(2022, 12, 28)


async def test_what_an_earlier_build_wrote_was_taken_as_it_was_up_to_the_day_that_it_is_of(make_postgres_world):
    world = await make_postgres_world()
    async with world.begin() as ledger:
        await ledger.put_custodian_accounts("custodian-a", BEFORE, {"acc-1": Holdings({}, Decimal(5))})
        await ledger._connection.execute(text("UPDATE execution.custodian_account SET first_day = NULL"))
    async with world.begin() as ledger:
        before = await ledger.custodian_accounts("custodian-a", ["acc-1"])
        await ledger.put_custodian_accounts("custodian-a", NOW, {"acc-1": Holdings({}, Decimal(6))})
    async with world.begin() as ledger:
        after = await ledger.custodian_accounts("custodian-a", ["acc-1"])

    assert before == {"acc-1": Spoken(BEFORE, Holdings({}, Decimal(5)), first_day=BEFORE)}
    assert after == {"acc-1": Spoken(NOW, Holdings({}, Decimal(6)), first_day=BEFORE)}
