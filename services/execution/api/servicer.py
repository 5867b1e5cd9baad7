"""`evenkeel.execution.v1.ExecutionService`: message → values → use case → message."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc.aio

from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceServicer
from services.execution.api.custodians import statement_of
from services.execution.api.messages import (
    GROUPS,
    MODES,
    ORDER_STATE,
    allocation_response,
    block_message,
    block_response,
    break_message,
    cost_response,
    halt_message,
    instruction_message,
    limit_keys,
    order_message,
    report_message,
    scope_of,
    trading_state_response,
    uncross_message,
)
from services.execution.api.plans import PlanReader, result_message
from services.execution.app import ExecutionApp
from services.execution.app.bell import Bell
from services.execution.app.ports import OrderFilter
from services.execution.app.records import AllocationId
from services.execution.domain.errors import MarketInvalid
from services.execution.domain.words import ReferencePrice
from services.kernel.errors import Violations
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, PlanId, RunId
from services.runtime.context import current_caller
from services.runtime.paging import Page, cut, read_page
from services.runtime.wire import decimals_of, instant_of
from services.runtime.workers import Patience

PAGE_DEFAULT = 100
PAGE_MAX = 1_000
# Who watches looks so far back for what other transactions wrote late.
WATCH_OVERLAP = timedelta(seconds=10)
# Reports of one message of the stream.
REPORTS_MAX = 500

_STATES = {message: state for state, message in ORDER_STATE.items()}

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class ExecutionServicer(ExecutionServiceServicer):
    """Answers callers of execution.

    `work` is rung when there is something new for the workers; `reported` rings when plan reports were written. Another
    process may write them too, so a follower looks every `look_s` seconds anyhow, or every `look_calm_s` when none came
    for a while.
    """

    app: ExecutionApp
    work: Bell
    reported: Bell
    look_s: float
    look_calm_s: float
    reader: PlanReader = field(default_factory=PlanReader)

    async def SubmitPlans(self, request: pb.SubmitPlansRequest, context: _Context) -> pb.SubmitPlansResponse:
        results = await self.app.intake.submit_plans([self.reader.submission_of(each) for each in request.plans])
        self.work.ring()
        return pb.SubmitPlansResponse(results=[result_message(each) for each in results])

    async def StreamPlanReports(
        self, request: pb.StreamPlanReportsRequest, context: _Context
    ) -> AsyncIterator[pb.StreamPlanReportsResponse]:
        position = request.after_position
        patience = Patience(self.look_s, self.look_calm_s)
        while True:
            rung = self.reported.rung
            reports = await self.app.queries.plan_reports(position, REPORTS_MAX)
            if reports:
                patience.worked()
                position = reports[-1].position
                yield pb.StreamPlanReportsResponse(reports=[report_message(each) for each in reports])
            if len(reports) == REPORTS_MAX:
                continue
            if not request.follow:
                return
            await _wait(rung, patience.next_s())

    async def GetOrder(self, request: pb.GetOrderRequest, context: _Context) -> pb.GetOrderResponse:
        return pb.GetOrderResponse(order=order_message(await self.app.queries.get_order(OrderId(request.order_id))))

    async def ListOrders(self, request: pb.ListOrdersRequest, context: _Context) -> pb.ListOrdersResponse:
        page = _page(request)
        which = OrderFilter(
            plan_id=PlanId(request.plan_id) if request.plan_id else None,
            account_id=AccountId(request.account_id) if request.account_id else None,
            run_id=RunId(request.run_id) if request.run_id else None,
            state=_STATES.get(request.state),
        )
        found = await self.app.queries.list_orders(which, _after(page), page.size + 1)
        shown, token = cut(found, page, lambda order: (order.order_id,))
        return pb.ListOrdersResponse(orders=[order_message(each) for each in shown], next_page_token=token)

    async def WatchOrders(
        self, request: pb.WatchOrdersRequest, context: _Context
    ) -> AsyncIterator[pb.WatchOrdersResponse]:
        which = OrderFilter(
            plan_id=PlanId(request.plan_id) if request.plan_id else None,
            account_id=AccountId(request.account_id) if request.account_id else None,
            run_id=RunId(request.run_id) if request.run_id else None,
        )
        since, told = datetime(1970, 1, 1, tzinfo=UTC), dict[OrderId, datetime]()
        patience = Patience(self.look_s, self.look_calm_s)
        while True:
            rung, after, last = self.reported.rung, "", since
            while found := await self.app.queries.changed_orders(which, since, after, REPORTS_MAX):
                after = found[-1].order_id
                news = [each for each in found if told.get(each.order_id) != each.update_time]
                last = max(last, *(each.update_time for each in found))
                if news:
                    patience.worked()
                    told |= {each.order_id: each.update_time for each in news}
                    yield pb.WatchOrdersResponse(orders=[order_message(each) for each in news])
            # What was written before may be seen later: transactions do not end in the order of their clocks.
            since = max(since, last - WATCH_OVERLAP) if last > since else since
            told = {name: time for name, time in told.items() if time >= since}
            await _wait(rung, patience.next_s())

    async def GetBlock(self, request: pb.GetBlockRequest, context: _Context) -> pb.GetBlockResponse:
        return block_response(await self.app.queries.get_block(BlockId(request.block_id)))

    async def GetAllocation(self, request: pb.GetAllocationRequest, context: _Context) -> pb.GetAllocationResponse:
        return allocation_response(await self.app.queries.get_allocation(AllocationId(request.allocation_id)))

    async def ListBlocks(self, request: pb.ListBlocksRequest, context: _Context) -> pb.ListBlocksResponse:
        page = _page(request)
        run_id = RunId(request.run_id) if request.run_id else None
        found = await self.app.queries.list_blocks(run_id, _after(page), page.size + 1)
        shown, token = cut(found, page, lambda record: (record.block_id,))
        return pb.ListBlocksResponse(blocks=[block_message(each) for each in shown], next_page_token=token)

    async def GetCostReport(self, request: pb.GetCostReportRequest, context: _Context) -> pb.GetCostReportResponse:
        run_id = RunId(request.run_id) if request.run_id else None
        return cost_response(await self.app.queries.cost_report(run_id, GROUPS[request.group_by]))

    async def ListBreaks(self, request: pb.ListBreaksRequest, context: _Context) -> pb.ListBreaksResponse:
        page = _page(request)
        if page.after is None:
            await self.app.reconciling.reconcile_venue()
        found = await self.app.reconciling.list_breaks(
            resolved=request.resolved, owner=request.owner, after=_after(page), limit=page.size + 1
        )
        shown, token = cut(found, page, lambda each: (each.break_id,))
        return pb.ListBreaksResponse(breaks=[break_message(each) for each in shown], next_page_token=token)

    async def AssignBreak(self, request: pb.AssignBreakRequest, context: _Context) -> pb.AssignBreakResponse:
        found = await self.app.reconciling.assign(request.break_id, request.owner, by=caller_name())
        return pb.AssignBreakResponse(found=break_message(found))

    async def ResolveBreak(self, request: pb.ResolveBreakRequest, context: _Context) -> pb.ResolveBreakResponse:
        found = await self.app.reconciling.resolve(request.break_id, by=caller_name(), note=request.note)
        return pb.ResolveBreakResponse(found=break_message(found))

    async def InstructAllocation(
        self, request: pb.InstructAllocationRequest, context: _Context
    ) -> pb.InstructAllocationResponse:
        again = await self.app.instructing.instruct_again(
            request.allocation_id, by=caller_name(), reason=request.reason
        )
        self.reported.ring()
        return pb.InstructAllocationResponse(instruction=instruction_message(again))

    async def ProposeUncross(self, request: pb.ProposeUncrossRequest, context: _Context) -> pb.ProposeUncrossResponse:
        wish = await self.app.uncrossing.propose(BlockId(request.block_id), by=caller_name(), why=request.reason)
        return pb.ProposeUncrossResponse(uncross=uncross_message(wish))

    async def ApproveUncross(self, request: pb.ApproveUncrossRequest, context: _Context) -> pb.ApproveUncrossResponse:
        done = await self.app.uncrossing.approve(BlockId(request.block_id), by=caller_name())
        self.reported.ring()
        return pb.ApproveUncrossResponse(uncross=uncross_message(done))

    async def IngestCustodianStatement(
        self, request: pb.IngestCustodianStatementRequest, context: _Context
    ) -> pb.IngestCustodianStatementResponse:
        found = await self.app.reconciling.ingest(statement_of(request))
        return pb.IngestCustodianStatementResponse(
            break_count=found.breaks, first_count=found.first, movement_count=found.moved
        )

    async def IngestReferencePrices(
        self, request: pb.IngestReferencePricesRequest, context: _Context
    ) -> pb.IngestReferencePricesResponse:
        count = await self.app.trading.ingest_prices(_prices(request))
        return pb.IngestReferencePricesResponse(updated_count=count)

    async def IngestMarketVolumes(
        self, request: pb.IngestMarketVolumesRequest, context: _Context
    ) -> pb.IngestMarketVolumesResponse:
        wrong = Violations()
        check_columns(list(request.instrument_ids), len(request.volumes.units), "volumes", wrong)
        if not request.provenance.HasField("as_of_time"):
            wrong.add("provenance.as_of_time", "must say until when the volumes count, was absent")
        volumes = decimals_of(request.volumes, "volumes")
        for index, volume in enumerate(volumes):
            if volume < 0:
                wrong.add(f"volumes.units[{index}]", f"must be at least 0, was {volume}")
        values = _values_of(request, wrong)
        wrong.raise_if_any(MarketInvalid)
        named = dict(zip(map(InstrumentId, request.instrument_ids), volumes, strict=True))
        at = instant_of(request.provenance.as_of_time, "provenance.as_of_time")
        await self.app.trading.ingest_volumes(named, at, request.provenance.source, values)
        self.work.ring()
        return pb.IngestMarketVolumesResponse()

    async def Halt(self, request: pb.HaltRequest, context: _Context) -> pb.HaltResponse:
        halted = await self.app.trading.halt(
            scope_of(request.scope), MODES[request.mode], by=caller_name(), why=request.reason
        )
        self.work.ring()
        return pb.HaltResponse(halt=halt_message(halted.halt), canceling_block_count=halted.canceling_blocks)

    async def Resume(self, request: pb.ResumeRequest, context: _Context) -> pb.ResumeResponse:
        await self.app.trading.resume(scope_of(request.scope), by=caller_name(), why=request.reason)
        self.work.ring()
        return pb.ResumeResponse()

    async def GetTradingState(
        self, request: pb.GetTradingStateRequest, context: _Context
    ) -> pb.GetTradingStateResponse:
        return trading_state_response(await self.app.trading.restrictions(limit_keys(request)))


def _values_of(request: pb.IngestMarketVolumesRequest, wrong: Violations) -> Mapping[InstrumentId, Decimal] | None:
    """Return for how much the volumes were traded; None when nobody said."""
    if not request.HasField("values"):
        return None
    check_columns(list(request.instrument_ids), len(request.values.units), "values", wrong)
    values = decimals_of(request.values, "values")
    for index, value in enumerate(values):
        if value < 0:
            wrong.add(f"values.units[{index}]", f"must be at least 0, was {value}")
    return dict(zip(map(InstrumentId, request.instrument_ids), values, strict=False))


def check_rows(instruments: int, units: int, what: str, wrong: Violations) -> None:
    """Note that a column has more or fewer rows than there are instruments."""
    if instruments != units:
        wrong.add(f"{what}.units", f"must have {instruments} rows, one per instrument, was {units}")


def check_columns(instrument_ids: list[str], units: int, what: str, wrong: Violations) -> None:
    """Note what is wrong with a column that says one thing of each instrument."""
    check_rows(len(instrument_ids), units, what, wrong)
    seen: set[str] = set()
    for index, instrument_id in enumerate(instrument_ids):
        if not instrument_id:
            wrong.add(f"instrument_ids[{index}]", "must not be empty")
        elif instrument_id in seen:
            wrong.add(f"instrument_ids[{index}]", f"must name each instrument once, {instrument_id} was named before")
        seen.add(instrument_id)


def _prices(request: pb.IngestReferencePricesRequest) -> list[ReferencePrice]:
    wrong = Violations()
    check_columns(list(request.instrument_ids), len(request.prices.units), "prices", wrong)
    if not request.provenance.HasField("as_of_time"):
        wrong.add("provenance.as_of_time", "must say when the prices were true, was absent")
    prices = decimals_of(request.prices, "prices")
    for index, price in enumerate(prices):
        if price <= 0:
            wrong.add(f"prices.units[{index}]", f"must be above 0, was {price}")
    wrong.raise_if_any(MarketInvalid)
    at = instant_of(request.provenance.as_of_time, "provenance.as_of_time")
    return [
        ReferencePrice(InstrumentId(name), price, request.currency, at, request.provenance.source)
        for name, price in zip(request.instrument_ids, prices, strict=True)
    ]


async def _wait(rung: asyncio.Event, at_most_s: float) -> None:
    try:
        async with asyncio.timeout(at_most_s):
            await rung.wait()
    except TimeoutError:
        # Nobody here wrote anything; the caller looks whether others did.
        return


def _page(request: Any) -> Page:  # noqa: ANN401 - any request with a page_size and a page_token
    return read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)


def _after(page: Page) -> str:
    return "" if page.after is None else str(page.after[0])


def caller_name() -> str:
    """Return who calls, for the record."""
    caller = current_caller()
    if caller is None:
        raise RuntimeError("every call has a caller")
    return caller.subject
