"""`IngestBook`: what comes in whole is kept whole, and what is wrong is named and leaves nothing."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import grpc
from sqlalchemy import text

from evenkeel.common.v1.columns_pb2 import DecimalColumn
from evenkeel.decision.v1 import book_service_pb2 as pb
from services.decision.api.book import SNAPSHOTS_AT_ONCE_MAX
from services.decision.domain.asset_kinds import AssetKind
from tests.decision.api.conftest import refused
from tests.decision.api.messages import a_request_id, book_requests, header_message, part_message
from tests.decision.books import CLOSE, a_header, an_account, lot

BAD = grpc.StatusCode.INVALID_ARGUMENT

ONE = an_account("a1", cash="1000.50", household_id="h1").holding(
    "VTI", lot("l2", 5, "700.25", "2022-12-20"), lot("l1", "10.5", 1000)
)
TWO = an_account("a2", cash=0, tax_wrapper="TAX_WRAPPER_DEFERRED").holding("BND", units=7)


async def ingest(service, *parts, **how):
    return (await service.books().IngestBook(iter(book_requests(*parts, **how)))).snapshot


async def count(service, table):
    async with service.database.read() as connection:
        return (await connection.execute(text(f"SELECT count(*) FROM decision.{table}"))).scalar_one()


async def test_a_book_is_read_back_as_it_was_told(service):
    snapshot = await ingest(service, (ONE,), (TWO,))

    account = (await service.books().GetAccount(pb.GetAccountRequest(account_id="a1"))).account
    assert (snapshot.account_count, snapshot.position_count, snapshot.lot_count) == (2, 2, 2)
    assert snapshot.provenance.source == "custodian-a"
    assert account.snapshot_id == snapshot.snapshot_id
    assert (account.household_id, account.cash.units, account.cash.nanos) == ("h1", 1000, 500_000_000)
    [position] = account.positions
    assert (position.instrument_id, position.quantity.value, position.holding) == ("VTI", "15.5", pb.HOLDING_TRADED)
    assert [each.lot_id for each in position.lots] == ["l1", "l2"]
    assert not account.HasField("value")
    assert (await service.books().GetSnapshot(pb.GetSnapshotRequest(snapshot_id=snapshot.snapshot_id))).snapshot == (
        snapshot
    )


async def test_the_same_content_is_the_same_snapshot_in_other_parts_and_order(service):
    first = await ingest(service, (ONE, TWO))
    second = await ingest(service, (TWO,), (ONE,))

    assert second == first
    assert await count(service, "snapshot_account") == 2
    assert await count(service, "outbox") == 1


async def test_repeating_a_request_gives_the_first_answer(service):
    request_id = a_request_id()
    first = await ingest(service, (ONE,), request_id=request_id)
    again = await ingest(service, (ONE,), request_id=request_id)

    assert again == first
    async with refused(grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"):
        await ingest(service, (TWO,), request_id=request_id)


async def test_a_snapshot_older_than_what_an_account_has_is_stale(service):
    await ingest(service, (ONE,))
    older = a_header(as_of_time=CLOSE - timedelta(seconds=1))

    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "SNAPSHOT_STALE"):
        await ingest(service, (TWO, ONE), header=older)
    assert await count(service, "snapshot") == 1
    assert await count(service, "snapshot_account") == 1


async def test_accounts_that_a_snapshot_does_not_name_keep_what_they_have(service):
    first = await ingest(service, (ONE, TWO))
    later = await ingest(service, (an_account("a1", cash=1),), header=a_header(as_of_time=CLOSE + timedelta(hours=1)))

    listed = (await service.books().ListAccounts(pb.ListAccountsRequest())).accounts
    assert [(each.account_id, each.snapshot_id) for each in listed] == [
        ("a1", later.snapshot_id),
        ("a2", first.snapshot_id),
    ]


async def test_everything_wrong_with_a_book_is_named_and_nothing_is_kept(service):
    wrong = part_message(ONE, TWO)
    wrong.lot_quantities.units[0] = -5000
    wrong.position_quantities.units[1] = 0
    wrong.cash.scale = 3
    wrong.cash.units[0] = 1
    wrong.currencies.words[0] = "XXX"

    async with refused(BAD, "BOOK_INVALID") as fields:
        await ingest(service, wrong)
    assert fields.keys() == {
        "part.cash.units[0]",
        "part.currencies.indexes[0]",
        "part.currencies.indexes[1]",
        "part.lot_quantities.units[0]",
        "part.position_instruments.indexes[0]",
        "part.position_instruments.indexes[1]",
        "part.position_quantities.units[0]",
        "part.position_quantities.units[1]",
    }
    assert "must be above 0, was -5 (account a1, instrument VTI, lot l2; part 1)" in fields.values()
    assert "must be whole cents, was 0.001 (account a1; part 1)" in fields.values()
    for table in ("snapshot", "snapshot_account", "account", "instrument", "outbox"):
        assert await count(service, table) == 0, table


async def test_what_an_instrument_is_to_the_tax_is_told_by_its_classification_unless_it_is_said(service):
    requests = book_requests((an_account("a1"),))
    said = {"VTI": ("CEOGES", "ASSET_KIND_EQUITY_FUND"), "BND": ("EDSXFR", None), "AAPL": ("DBFTFB", None)}
    for instrument in requests[0].header.instruments:
        instrument.cfi, kind = said[instrument.instrument_id]
        instrument.asset_kind = kind or "ASSET_KIND_UNSPECIFIED"
    await service.books().IngestBook(iter(requests))

    async with service.sessions.view() as view:
        known = await view.books.instruments(["VTI", "BND", "AAPL"])
    kinds = {name: each.asset_kind for name, each in known.items()}
    # ISO 10962: an exchange-traded fund, a depositary receipt on shares, a bond.
    assert kinds == {"VTI": AssetKind.EQUITY_FUND, "BND": AssetKind.SHARE, "AAPL": AssetKind.OTHER}


async def test_gains_on_shares_may_be_left_out_and_must_be_whole_cents_and_one_an_account(service):
    part = part_message(an_account("a1"), an_account("a2"))
    part.share_gains.CopyFrom(DecimalColumn(units=[1, 5, 7], scale=3))
    async with refused(BAD, "BOOK_INVALID") as fields:
        await ingest(service, part)
    assert fields == {"part.share_gains": "must have 2 rows, had 3 (part 1)"}
    part.share_gains.CopyFrom(DecimalColumn(units=[10, 5], scale=3))
    async with refused(BAD, "BOOK_INVALID") as fields:
        await ingest(service, part)
    assert fields == {"part.share_gains.units[1]": "must be whole cents, was 0.005 (account a2; part 1)"}
    part.ClearField("share_gains")
    assert (await ingest(service, part)).account_count == 2


async def test_an_account_twice_across_parts_is_refused(service):
    async with refused(BAD, "BOOK_INVALID") as fields:
        await ingest(service, (ONE,), (TWO, an_account("a1")))
    assert fields == {
        "part.account_ids[1]": "must be there once in a snapshot, a1 is there again (part 2)",
    }


async def test_instruments_that_the_header_does_not_list_are_unknown(service):
    async with refused(BAD, "INSTRUMENT_UNKNOWN") as fields:
        await ingest(service, (ONE, TWO), header=a_header("BND"))
    assert fields.keys() == {"part.position_instruments.indexes[0]"}


async def test_messages_follow_each_other_as_the_contract_says(service):
    header, part = book_requests((ONE,))

    async with refused(BAD, "FIELD_INVALID") as fields:
        await service.books().IngestBook(iter([part]))
    assert fields.keys() == {"header"}
    async with refused(BAD, "FIELD_INVALID") as fields:
        await service.books().IngestBook(iter([]))
    assert fields.keys() == {"header"}
    async with refused(BAD, "FIELD_INVALID") as fields:
        await service.books().IngestBook(iter([header, header]))
    assert fields.keys() == {"part"}
    async with refused(BAD, "FIELD_INVALID") as fields:
        other = pb.IngestBookRequest(request_id=a_request_id(), part=part.part)
        await service.books().IngestBook(iter([header, other]))
    assert fields.keys() == {"request_id"}
    async with refused(BAD, "BOOK_INVALID") as fields:
        await service.books().IngestBook(iter([header]))
    assert fields.keys() == {"part.account_ids"}


async def test_a_header_that_cannot_be_is_refused(service):
    header = header_message(a_header(as_of_time=CLOSE + timedelta(days=9)))
    header.instruments[1].instrument_id = "VTI"
    header.instruments[2].currency = "ZZZ"
    requests = book_requests((an_account("a1"),))
    requests[0].header.CopyFrom(header)

    async with refused(BAD, "BOOK_INVALID") as fields:
        await service.books().IngestBook(iter(requests))
    assert fields.keys() == {
        "header.provenance.as_of_time",
        "header.instruments[1].instrument_id",
        "header.instruments[2].currency",
    }
    requests[0].header.instruments[0].quantity_increment.value = "0"
    async with refused(BAD, "FIELD_INVALID") as fields:
        await service.books().IngestBook(iter(requests))
    assert fields.keys() == {"header.instruments[0].quantity_increment"}


async def test_more_snapshots_than_fit_into_memory_are_told_to_wait(service):
    header, part = book_requests((ONE,))
    going_on = asyncio.Event()

    async def slowly():
        yield header
        await going_on.wait()
        yield part

    async def send():
        return await service.books().IngestBook(slowly())

    sending = [asyncio.create_task(send()) for _ in range(SNAPSHOTS_AT_ONCE_MAX + 1)]
    [first], others = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
    async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "CALLS_EXCEED_LIMIT"):
        await first
    going_on.set()
    answers = await asyncio.gather(*others)

    assert {each.snapshot.account_count for each in answers} == {1}


async def test_an_advisor_may_read_the_book_and_not_write_it(service):
    await ingest(service, (ONE,))

    await service.books("advisor").GetAccount(pb.GetAccountRequest(account_id="a1"))
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await service.books("advisor").IngestBook(iter(book_requests((ONE,))))


async def test_a_thousand_accounts_of_eighty_lots_come_in_and_are_all_there(service):
    instruments = [f"I{number:02}" for number in range(20)]

    def full(number):
        account = an_account(f"account-{number:04}", cash=100)
        for instrument_id in instruments:
            account = account.holding(
                instrument_id, *(lot(f"{instrument_id}-{each}", 3, "100.25") for each in range(4))
            )
        return account

    parts = [tuple(full(number) for number in range(start, start + 250)) for start in range(0, 1000, 250)]
    snapshot = await ingest(service, *parts, header=a_header(*instruments))

    assert snapshot.lot_count == 80_000
    async with service.sessions.view() as view:
        found = await view.books.accounts(await view.books.account_ids(None, 1000), trades_since=CLOSE.date())
    assert sum(len(each.lots) for account in found for each in account.positions) == 80_000
    assert sum((each.basis_total for a in found for p in a.positions for each in p.lots), Decimal(0)) == 8_020_000
