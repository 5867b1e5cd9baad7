"""Accounts, snapshots and reconciliation as callers see them."""

from datetime import timedelta
from decimal import Decimal

import grpc

from evenkeel.common.v1.values_pb2 import TAX_WRAPPER_TAXABLE
from evenkeel.decision.v1 import book_service_pb2 as pb
from services.decision.app.booking import PlannedAllocation, book_allocations
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests, price_request
from tests.decision.books import CLOSE, a_header, an_account, an_allocation, lot

ONE = an_account("a1", cash=500, household_id="h1", long_term_gain="-12.34").holding("VTI", lot("l1", 10, 1000))
TWO = an_account("a2", cash=0, household_id="h1").holding("BND", units=5)
THREE = an_account("a3", cash=7)
BUY = an_allocation(1, "BUY", "BND", 2, "100.50", fees="0.25")


async def ingest(service, *accounts, **header):
    requests = book_requests(accounts, header=a_header(**header))
    return (await service.books().IngestBook(iter(requests))).snapshot


async def book(service, *allocations):
    async with service.sessions.ledger() as ledger:
        planned = [PlannedAllocation(each) for each in allocations]
        last = allocations[-1].position
        return await book_allocations(ledger, planned, first_position=allocations[0].position, last_position=last)


async def get(service, account_id, snapshot_id=""):
    request = pb.GetAccountRequest(account_id=account_id, snapshot_id=snapshot_id)
    return (await service.books("advisor").GetAccount(request)).account


async def test_an_account_is_shown_with_value_weights_and_drift(service):
    await ingest(service, ONE)
    await service.prices().IngestPrices(price_request(VTI="150", BND="50"))
    service.plans.targets["a1"] = {"VTI": Decimal(1)}

    account = await get(service, "a1")

    assert (account.value.units, account.value.currency_code) == (2000, "USD")
    assert account.drift.value == "0.25"
    assert account.tax_wrapper == TAX_WRAPPER_TAXABLE
    assert (account.long_term_gain.units, account.long_term_gain.nanos) == (-12, -340_000_000)
    [position] = account.positions
    assert (position.weight.value, position.target_weight.value, position.price.units) == ("0.75", "1", 150)
    assert [(each.lot_id, each.basis.units) for each in position.lots] == [("l1", 1000)]


async def test_an_account_without_plan_has_no_drift_and_no_target(service):
    await ingest(service, ONE)
    await service.prices().IngestPrices(price_request(VTI="150"))

    account = await get(service, "a1")

    assert account.HasField("value")
    assert not account.HasField("drift")
    assert not account.positions[0].HasField("target_weight")


async def test_an_account_is_shown_as_a_snapshot_had_it(service):
    snapshot = await ingest(service, ONE)
    await book(service, BUY)

    now, then = await get(service, "a1"), await get(service, "a1", snapshot.snapshot_id)

    assert [each.instrument_id for each in now.positions] == ["BND", "VTI"]
    assert [each.instrument_id for each in then.positions] == ["VTI"]
    assert (now.booked_position, then.booked_position) == (1, 0)


async def test_what_does_not_exist_is_not_found(service):
    snapshot = await ingest(service, ONE)
    missing = grpc.StatusCode.NOT_FOUND

    async with refused(missing, "ACCOUNT_NOT_FOUND"):
        await get(service, "a2")
    async with refused(missing, "ACCOUNT_NOT_FOUND"):
        await get(service, "a2", snapshot.snapshot_id)
    async with refused(missing, "SNAPSHOT_NOT_FOUND"):
        await get(service, "a1", "snapshot-of-nothing")
    async with refused(missing, "SNAPSHOT_NOT_FOUND"):
        await service.books().GetSnapshot(pb.GetSnapshotRequest(snapshot_id="snapshot-of-nothing"))
    async with refused(missing, "RUN_NOT_FOUND"):
        await service.books("advisor").GetReconciliation(pb.GetReconciliationRequest(run_id="run-of-nothing"))


async def test_accounts_are_listed_by_id_in_pages_without_lots(service):
    await ingest(service, THREE, ONE, TWO)
    books = service.books("advisor")

    first = await books.ListAccounts(pb.ListAccountsRequest(page_size=2))
    rest = await books.ListAccounts(pb.ListAccountsRequest(page_size=2, page_token=first.next_page_token))
    family = await books.ListAccounts(pb.ListAccountsRequest(household_id="h1"))

    assert [each.account_id for each in (*first.accounts, *rest.accounts)] == ["a1", "a2", "a3"]
    assert rest.next_page_token == ""
    assert [each.account_id for each in family.accounts] == ["a1", "a2"]
    assert not first.accounts[0].positions[0].lots
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"):
        await books.ListAccounts(pb.ListAccountsRequest(household_id="h1", page_token=first.next_page_token))


async def test_snapshots_are_listed_newest_first_in_pages(service):
    made = [await ingest(service, ONE, as_of_time=CLOSE + timedelta(minutes=each)) for each in range(3)]
    books = service.books("advisor")

    first = await books.ListSnapshots(pb.ListSnapshotsRequest(page_size=2))
    rest = await books.ListSnapshots(pb.ListSnapshotsRequest(page_size=2, page_token=first.next_page_token))

    assert [*first.snapshots, *rest.snapshots] == made[::-1]
    assert rest.next_page_token == ""


async def test_the_book_reconciles_to_the_cent_and_a_break_is_shown(service):
    await ingest(service, ONE, TWO)
    await book(service, BUY)
    service.execution.reported = [BUY]
    books = service.books("risk_officer")

    matched = await books.GetReconciliation(pb.GetReconciliationRequest())
    service.execution.reported = [BUY, an_allocation(2, "SELL", "VTI", 1, 149)]
    broken = await books.GetReconciliation(pb.GetReconciliationRequest())

    assert (matched.account_count, matched.allocation_count, matched.break_count) == (2, 1, 0)
    assert matched.cash_before[0].units == 500
    assert (matched.cash_after[0].units, matched.cash_after[0].nanos) == (399, 250_000_000)
    assert [(each.instrument_id, each.booked.value, each.expected.value) for each in broken.breaks] == [
        ("", "399.25", "548.25"),
        ("VTI", "10", "9"),
    ]
