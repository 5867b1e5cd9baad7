"""Reports of a running service: made from its log, recorded before they are shown, honest about what is missing."""

import json

import grpc

from evenkeel.audit.v1 import report_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2 import Subject
from evenkeel.audit.v1.report_service_pb2_grpc import ReportServiceStub
from services.audit.domain.logs import ACCESS
from tests.audit.builders import NOON, an_event
from tests.audit.domain.test_reports import STORY
from tests.support.refusals import refused


def reporting(whole):
    return ReportServiceStub(whole.channel("compliance_officer", subject="carl"))


async def told(whole, account="acc-1"):
    for number, (kind, actor, subjects, data) in enumerate(STORY):
        event = an_event(
            f"{account} {number}",
            kind=kind,
            producer=kind.partition(".")[0],
            actor=actor,
            account=account if "plan" in subjects else None,
            subjects={name: f"{each}{account}" if name != "instrument" else each for name, each in subjects.items()},
            data=json.loads(json.dumps(data).replace("order-1", f"order-1{account}")),
        )
        await whole.append(event, producer=event.producer)


async def made(whole, **request):
    parts = [part async for part in reporting(whole).GetReport(pb.GetReportRequest(**request))]
    return parts[0].report, [row for part in parts for row in part.rows], parts[-1].summary


async def test_a_report_is_made_from_the_log_and_names_what_is_missing(whole):
    await told(whole)
    await told(whole, "acc-2")

    report, rows, summary = await made(whole, name="order-memorandum")

    assert (report.title, summary.rows, summary.missing) == ("Memorandum of each order", 2, {"discretionary": 2})
    values = dict(zip((each.name for each in report.fields), rows[0].values, strict=True))
    assert (values["order_id"], values["broker"], values["average_price"]) == ("order-1acc-1", "sandbox", "100.6")
    assert values["discretionary"] == ""
    assert list(rows[0].evidence) == list(range(len(STORY)))
    assert list(rows[1].missing) == ["discretionary"]


async def test_a_period_that_ends_before_it_begins_and_a_thing_twice_are_refused_by_their_fields(whole):
    backwards = pb.GetReportRequest(name="access")
    backwards.start_time.FromSeconds(86_400)
    backwards.end_time.FromSeconds(3_600)
    twice = pb.GetReportRequest(name="access", subjects=[Subject(kind="plan", id=each) for each in "ab"])

    assert list((await refused(reporting(whole).GetReport(backwards).read())).fields) == ["end_time"]
    assert list((await refused(reporting(whole).GetReport(twice).read())).fields) == ["subjects[1].kind"]


async def test_what_is_asked_about_one_account_has_what_its_orders_lead_to(whole):
    await told(whole)
    await told(whole, "acc-2")

    _, rows, summary = await made(whole, name="cat-linkage", subjects=[Subject(kind="account", id="acc-2")])

    assert (summary.rows, summary.missing) == (1, {})
    assert list(rows[0].evidence) == list(range(len(STORY), 2 * len(STORY)))


async def test_what_is_asked_about_one_order_is_not_told_of_the_others_of_its_plan(whole):
    await told(whole)
    kind, _, _, data = STORY[4]
    other = {"run": "run-1acc-1", "plan": "plan-1acc-1", "order": "order-2acc-1", "instrument": "BND"}
    event = an_event("another", kind=kind, producer="execution", account="acc-1", subjects=other, data=data)
    await whole.append(event, producer="execution")

    _, both, _ = await made(whole, name="order-memorandum", subjects=[Subject(kind="account", id="acc-1")])
    _, one, _ = await made(whole, name="order-memorandum", subjects=[Subject(kind="order", id="order-1acc-1")])

    assert (len(both), len(one)) == (2, 1)
    assert list(one[0].evidence) == list(range(len(STORY)))


async def test_who_asks_for_a_report_is_in_the_report_of_who_read(whole):
    await told(whole)
    await made(whole, name="evidence-pack")

    report, rows, summary = await made(whole, name="access")

    assert summary.missing == {}
    said = dict(zip((each.name for each in report.fields), rows[0].values, strict=True))
    assert (said["who"], said["what"], said["log"]) == ("carl", "exported", "events")
    assert json.loads(said["question"])["report"] == "evidence-pack"
    # Its own access came first, and is in it.
    assert summary.rows == 2 == (await whole.reader(ACCESS).checkpoint()).checkpoint.size


async def test_a_period_before_everything_has_no_rows(whole):
    await told(whole)
    request = pb.GetReportRequest(name="mifid-orders")
    request.end_time.FromDatetime(NOON.replace(year=2020))

    parts = [part async for part in reporting(whole).GetReport(request)]

    assert parts[-1].summary.rows == 0


async def test_reports_are_listed_and_an_unknown_one_is_refused(whole):
    await told(whole)
    listed = await reporting(whole).ListReports(pb.ListReportsRequest(page_size=3))
    rest = await reporting(whole).ListReports(pb.ListReportsRequest(page_token=listed.next_page_token))

    names = [each.name for each in (*listed.reports, *rest.reports)]
    assert len(names) == len(set(names)) >= 8
    assert names == sorted(names)

    async def asking():
        return [part async for part in reporting(whole).GetReport(pb.GetReportRequest(name="gossip"))]

    error = await refused(asking())
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "REPORT_UNKNOWN")
