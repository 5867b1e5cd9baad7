"""`evenkeel.decision.v1.TaxService`: message → values → use case → message."""

from dataclasses import dataclass
from typing import Any

import grpc.aio

from evenkeel.decision.v1 import tax_service_pb2 as pb
from evenkeel.decision.v1.tax_service_pb2_grpc import TaxServiceServicer
from services.decision.api.tax_messages import assessment_message, history_of, rules_of
from services.decision.app.taxes import TaxApp


@dataclass(frozen=True, slots=True)
class TaxServicer(TaxServiceServicer):
    """Answers what a history of trades comes to."""

    app: TaxApp

    async def PreviewTaxYear(
        self, request: pb.PreviewTaxYearRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PreviewTaxYearResponse:
        rules, history = rules_of(request), history_of(request)
        return assessment_message(await self.app.preview_year(rules, history, request.tax_year))
