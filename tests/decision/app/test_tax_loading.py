"""A ledger is derived from what concerns it: most of a long record happened to what its accounts never had."""

from datetime import date
from decimal import Decimal

from services.decision.app.tax_loading import loaded_each
from services.decision.domain.tax.assessment.history import Acquisition, Owner, Reorganization, Split
from services.decision.domain.tax.assessment.rows import Redemption
from services.decision.domain.tax.events import TaxEvent
from tests.decision.app.test_book_app import ingest
from tests.decision.books import an_account
from tests.decision.memory import Memory


class Records:
    """The record, as a list."""

    def __init__(self, *rows):
        self.events = [TaxEvent(f"e{number}", row) for number, row in enumerate(rows)]

    async def counting(self, account_ids):
        found = [each for each in self.events if each.account_id is None or each.account_id in account_ids]
        return sorted(found, key=lambda each: (each.row.day, each.event_id))

    async def complete_until(self, account_ids):
        return dict.fromkeys(account_ids, date(2024, 12, 31))

    async def trades(self, account_ids):
        return {}


def merged(on, old, new):
    return Reorganization(date.fromisoformat(on), old, new, 1, 1, Decimal(1))


def split(on, asset):
    return Split(date.fromisoformat(on), asset, 2, 1)


def bought(account_id, asset):
    return Acquisition(f"{account_id}-{asset}", date(2020, 1, 6), account_id, asset, Decimal(10), Decimal(100))


async def loaded_of(*rows):
    memory = Memory()
    await ingest(memory, an_account("a1"), an_account("a2"))
    async with memory.ledger() as books:
        owners = [{name: Owner.TAXPAYER} for name in ("a1", "a2")]
        return await loaded_each(books, Records(*rows), owners)


async def test_what_happened_to_an_asset_and_to_what_became_of_it_concerns_who_had_it():
    chain = [split("2021-01-04", "OLD"), merged("2021-06-01", "OLD", "NEW"), split("2022-01-03", "NEW")]
    ends = [merged("2023-01-03", "NEW", "LAST"), Redemption(date(2024, 1, 3), "LAST", Decimal(5))]
    others = [
        split("2021-01-05", "ELSE"),
        merged("2021-01-06", "ELSE", "OLD"),
        Redemption(date(2024, 1, 4), "BOND", Decimal(5)),
    ]
    first, second = await loaded_of(bought("a1", "OLD"), bought("a2", "ELSE"), *others, *chain, *ends)

    assert [each.row for each in first.events] == [bought("a1", "OLD"), *chain, *ends]
    rows = [each.row for each in second.events]
    assert rows == [bought("a2", "ELSE"), *sorted([*others[:2], *chain, *ends], key=lambda each: each.day)]
    assert (date(2024, 1, 4) in first.sale_days, date(2024, 1, 3) in first.sale_days) == (False, True)


async def test_assets_that_became_each_other_in_a_circle_end():
    circle = [merged("2021-01-04", "X", "Y"), merged("2022-01-04", "Y", "X")]
    first, second = await loaded_of(bought("a1", "X"), *circle)
    assert [each.row for each in first.events] == [bought("a1", "X"), *circle]
    assert second.events == []
