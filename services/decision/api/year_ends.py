"""`evenkeel.decision.v1.YearEndService`: columns → use case → columns, some hundred taxpayers at a time."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

import grpc.aio

from evenkeel.decision.v1 import year_end_service_pb2 as pb
from evenkeel.decision.v1.year_end_service_pb2_grpc import YearEndServiceServicer
from services.decision.api.year_end_messages import named_of, refusal_message, year_ends_message
from services.decision.app.year_ends import LOADED_MAX, TOGETHER_MAX, YearEndApp
from services.decision.domain.prices import PriceSetId
from services.decision.domain.tax.filing import Filing, TaxpayerUnknown
from services.decision.domain.tax.laws import LAWS
from services.kernel.errors import Invalid, Violations
from services.kernel.ids import AccountId
from services.runtime.wire import date_message, instant_of

# Accounts that are remembered as named, where every account of a country is to be assessed.
NAMED_MAX = 2_000_000

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class YearEndServicer(YearEndServiceServicer):
    """Answers what the tax years of many taxpayers come to."""

    app: YearEndApp

    async def StreamYearEnds(
        self, request_iterator: AsyncIterator[pb.StreamYearEndsRequest], context: _Context
    ) -> AsyncIterator[pb.StreamYearEndsResponse]:
        requests = aiter(request_iterator)
        header = _header_of(await anext(requests, None))
        law_time = instant_of(header.law_time, "header.law_time") if header.HasField("law_time") else None
        price_set_id = PriceSetId(header.price_set_id) if header.price_set_id else None
        filing = await self.app.filing(header.tax_year, price_set_id, law_time)
        taxpayers = accounts = 0
        named: set[AccountId] = set()
        async for request in requests:
            if request.WhichOneof("part") != "taxpayers":
                raise _misplaced("must be the first message only, was sent again")
            jurisdiction, those = named_of(request.taxpayers)
            together = TOGETHER_MAX if jurisdiction == "US" else LOADED_MAX
            for begin in range(0, len(those), together):
                answered = await self.app.answered(filing, those[begin : begin + together])
                taxpayers += len(answered.named)
                accounts += sum(map(len, answered.account_ids))
                if header.whole_jurisdictions:
                    named.update(account_id for each in answered.account_ids for account_id in each)
                    if len(named) > NAMED_MAX:
                        raise _misplaced(f"must be a call of at most {NAMED_MAX} accounts", "whole_jurisdictions")
                message = year_ends_message(jurisdiction, filing, answered)
                message.taxpayers_done, message.accounts_done = taxpayers, accounts
                yield message
        if header.whole_jurisdictions:
            async for message in self._unnamed(filing, header.whole_jurisdictions, named):
                message.taxpayers_done, message.accounts_done = taxpayers, accounts
                yield message

    async def _unnamed(
        self, filing: Filing, jurisdictions: Collection[str], named: Collection[AccountId]
    ) -> AsyncIterator[pb.StreamYearEndsResponse]:
        """Yield refusals of the accounts of whole countries that no taxpayer named."""
        country = {LAWS[each].currency: each for each in jurisdictions}
        after: AccountId | None = None
        while found := await self.app.accounts(after):
            after = found[-1][0]
            refusals = [
                refusal_message("", TaxpayerUnknown(f"account {account_id} was named by no taxpayer"), account_id)
                for account_id, currency in found
                if currency in country and account_id not in named
            ]
            if refusals:
                yield pb.StreamYearEndsResponse(as_of_date=date_message(filing.day), refusals=refusals)


def _header_of(request: pb.StreamYearEndsRequest | None) -> pb.YearEndHeader:
    if request is None or request.WhichOneof("part") != "header":
        raise _misplaced("must be the first message, was absent")
    found = Violations()
    for place, each in enumerate(request.header.whole_jurisdictions):
        if each not in LAWS:
            path = f"header.whole_jurisdictions[{place}]"
            found.add(path, f"must be one of {', '.join(sorted(LAWS))}, was {each!r}")
    found.raise_if_any()
    return request.header


def _misplaced(description: str, name: str = "") -> Invalid:
    return Invalid.of(f"header.{name}" if name else "header", description)
