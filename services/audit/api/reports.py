"""`evenkeel.audit.v1.ReportService`: who asks for a report is recorded, then it is made."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import report_service_pb2 as pb
from evenkeel.audit.v1.report_service_pb2_grpc import ReportServiceServicer
from services.audit.api.messages import checkpoint_message, filter_of, question_of
from services.audit.api.reading import AccessRecorder
from services.audit.app import Access, Reporter
from services.audit.app.access import EXPORTED_KIND
from services.audit.app.reports import ReportEnd
from services.audit.domain.reports.base import Report, Row
from services.kernel.canonical import JsonValue, canonical_json
from services.runtime.paging import PageTokenInvalid, cut, read_page

PAGE_DEFAULT = 100
PAGE_MAX = 500


class ReportServicer(ReportServiceServicer):
    """Answers whoever needs a report."""

    def __init__(self, reporter: Reporter, access: AccessRecorder) -> None:
        """Make reports by `reporter`, and have `access` write down who asks."""
        self._reporter = reporter
        self._access = access

    async def ListReports(
        self, request: pb.ListReportsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListReportsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        match page.after:
            case None:
                after = ""
            case (str() as after,):
                pass
            case _:
                raise PageTokenInvalid("page_token: must be a token that this list gave")
        found = [each for name, each in self._reporter.reports.items() if name > after]
        shown, token = cut(found, page, lambda each: (each.name,))
        return pb.ListReportsResponse(reports=map(_report_message, shown), next_page_token=token)

    async def GetReport(
        self, request: pb.GetReportRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.GetReportResponse]:
        report = self._reporter.named(request.name)
        asked = audit.EntryFilter(subjects=request.subjects)
        for name in ("start_time", "end_time"):
            if request.HasField(name):
                getattr(asked, name).CopyFrom(getattr(request, name))
        wanted = filter_of(asked, "")
        question: dict[str, JsonValue] = {**question_of(wanted), "report": report.name}
        await self._access.record(context, Access(report.log, wanted.subjects, question, kind=EXPORTED_KIND))
        signed = await self._reporter.checkpoint(report)
        yield pb.GetReportResponse(report=_report_message(report), checkpoint=checkpoint_message(signed))
        parts = self._reporter.make(
            report,
            size=signed.checkpoint.size,
            subjects=wanted.subjects,
            start_time=wanted.start_time,
            end_time=wanted.end_time,
        )
        async for part in parts:
            if isinstance(part, ReportEnd):
                summary = pb.ReportSummary(rows=part.rows, entries=part.entries, missing=part.missing)
                yield pb.GetReportResponse(summary=summary)
            else:
                yield pb.GetReportResponse(rows=(_row_message(report, row, lacks) for row, lacks in part.rows))


def _report_message(report: Report) -> pb.Report:
    return pb.Report(
        name=report.name,
        title=report.title,
        citation=report.citation,
        log=report.log,
        fields=(
            pb.ReportField(
                name=each.name, description=each.says, rule=each.rule, required=each.required, absent_reason=each.absent
            )
            for each in report.fields
        ),
    )


def _row_message(report: Report, row: Row, missing: Sequence[str]) -> pb.ReportRow:
    values = (_text(row.values.get(each.name)) for each in report.fields)
    return pb.ReportRow(values=values, evidence=row.evidence, missing=missing)


def _text(value: JsonValue) -> str:
    if value is None or value == []:
        return ""
    return value if isinstance(value, str) else canonical_json(value).decode()
