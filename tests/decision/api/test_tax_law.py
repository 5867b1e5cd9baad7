"""Tax law under review, through the service: one proposes, another approves, old answers stay reproducible."""

from datetime import date
from uuid import uuid4

import grpc
from google.protobuf.json_format import ParseDict
from sqlalchemy import select

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.tax.laws import law_book
from services.decision.store.sessions import DecisionStore
from services.runtime.clock import SystemClock
from tests.decision.api.conftest import refused
from tests.decision.api.test_tax_ledger import day

BAD, DENIED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.PERMISSION_DENIED


def proposal(year=2027, jurisdiction="GB", source="Finance Act 2027 s. 3", **amounts):
    named = [{"name": name.replace("__", "@"), "value": {"value": value}} for name, value in amounts.items()]
    said = {"request_id": str(uuid4()), "jurisdiction": jurisdiction, "tax_year": year, "source": source}
    return ParseDict({**said, "amounts": named}, pb.ProposeTaxLawRequest())


def review(year=2027, version=1, jurisdiction="GB", approved=True):
    return pb.ReviewTaxLawRequest(
        request_id=str(uuid4()), jurisdiction=jurisdiction, tax_year=year, version=version, approved=approved,
        note="compared with the Act",
    )  # fmt: skip


def preview(year):
    gbp = {"currency_code": "GBP", "units": "20000"}
    rows = {"account_id": "A", "asset": "ACME", "quantity": {"value": "100"}}
    return ParseDict(
        {
            "tax_year": year,
            "united_kingdom": {"taxable_income": {"value": "60000"}},
            "accounts": [{"account_id": "A", "owner": "OWNER_TAXPAYER"}],
            "acquisitions": [{"lot_id": "l", "date": day("2020-05-01"), "cost": {"currency_code": "GBP"}, **rows}],
            "disposals": [{"disposal_id": "s", "date": day("2026-06-01"), "proceeds": gbp, **rows}],
        },
        pb.PreviewTaxYearRequest(),
    )


def tax(response):
    return response.lines[-1].amount.value, response.law_version


async def test_until_when_accounts_are_planned_is_told_before_it_is_too_late(service):
    author, approver = service.taxes("policy_author", "ada"), service.taxes("policy_approver", "ben")

    async def horizons(jurisdiction=""):
        listed = await author.ListTaxLaws(pb.ListTaxLawsRequest(jurisdiction=jurisdiction, page_size=1))
        return {each.jurisdiction: each for each in listed.horizons}

    before = await horizons()
    assert list(before) == ["CA", "DE", "GB", "US"]
    # 2026/27 is the last British year of the release.
    told = before["GB"]
    assert (told.last_date.year, told.last_date.month, told.last_date.day, told.tax_year) == (2027, 4, 5, 2027)
    assert told.days_left == (date(2027, 4, 5) - SystemClock().now().date()).days + 1
    await author.ProposeTaxLaw(proposal())
    assert (await horizons("GB"))["GB"].tax_year == 2027
    await approver.ReviewTaxLaw(review())
    (after,) = (await horizons("GB")).values()
    assert (after.last_date.year, after.last_date.month, after.last_date.day, after.tax_year) == (2028, 4, 5, 2028)


async def test_a_change_of_law_counts_once_another_person_approved_it_and_the_old_answer_stays(service):
    author, approver = service.taxes("policy_author", "ada"), service.taxes("policy_approver", "ben")
    advisor = service.taxes("advisor", "eve")
    before = await advisor.PreviewTaxYear(preview(2026))
    assert tax(before) == ("4080", 0)

    proposed = (await author.ProposeTaxLaw(proposal(2026, higher_rate="0.30"))).law
    assert (proposed.version, proposed.state, proposed.in_force) == (1, pb.TaxLaw.STATE_PROPOSED, False)
    assert tax(await advisor.PreviewTaxYear(preview(2026))) == ("4080", 0)

    approved = (await approver.ReviewTaxLaw(review(2026))).law
    assert (approved.state, approved.in_force, approved.reviewer) == (pb.TaxLaw.STATE_APPROVED, True, "ben")
    assert tax(await advisor.PreviewTaxYear(preview(2026))) == ("5100", 1)
    then = preview(2026)
    then.law_time.CopyFrom(proposed.propose_time)
    assert tax(await advisor.PreviewTaxYear(then)) == ("4080", 0)
    async with service.database.read() as connection:
        outbox = service.database.outbox
        rows = await connection.execute(select(outbox.c.kind).where(outbox.c.kind.like("decision.tax.law.%")))
        assert sorted(row.kind for row in rows) == ["decision.tax.law.proposed", "decision.tax.law.reviewed"]


async def test_a_year_to_come_is_planned_once_its_law_was_reviewed(service):
    author, approver = service.taxes("policy_author", "ada"), service.taxes("policy_approver", "ben")
    with_law = DecisionStore(service.database)

    async with refused(BAD, "JURISDICTION_UNKNOWN") as fields:
        await author.PreviewTaxYear(preview(2027))
    assert fields["tax_year"] == "must be 2016 to 2026 for GB, was 2027"
    await author.ProposeTaxLaw(proposal(exempt_amount="3500"))
    await approver.ReviewTaxLaw(review())

    assert (await author.PreviewTaxYear(preview(2027))).law_version == 1
    async with with_law.read() as session:
        assert law_book(await session.laws.versions()).reviewed_years() == {"GB": (2027,)}


async def test_nobody_reviews_an_own_proposal_and_nobody_twice(service):
    author, same = service.taxes("policy_author", "ada"), service.taxes("policy_approver", "ada")
    other = service.taxes("compliance_officer", "carl")
    await author.ProposeTaxLaw(proposal())

    async with refused(DENIED, "TAX_LAW_AUTHOR"):
        await same.ReviewTaxLaw(review())
    async with refused(grpc.StatusCode.NOT_FOUND, "TAX_LAW_NOT_FOUND"):
        await other.ReviewTaxLaw(review(version=2))
    rejected = (await other.ReviewTaxLaw(review(approved=False))).law
    assert (rejected.state, rejected.in_force) == (pb.TaxLaw.STATE_REJECTED, False)
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "TAX_LAW_REVIEWED"):
        await other.ReviewTaxLaw(review())
    assert (await author.ProposeTaxLaw(proposal())).law.version == 2


async def test_what_cannot_be_law_is_refused_by_name(service):
    author = service.taxes("policy_author", "ada")

    async with refused(BAD, "FIELD_INVALID") as fields:
        await author.ProposeTaxLaw(proposal(higher_rate="1.3", flat="1"))
    assert fields["amounts.higher_rate"] == "must be 0 to 1, was 1.3"
    assert "must be one of basic_rate" in fields["amounts.flat"]
    async with refused(BAD, "FIELD_INVALID") as fields:
        await author.ProposeTaxLaw(proposal(jurisdiction="FR"))
    assert fields["jurisdiction"] == "must be one of CA, DE, GB, US, was FR"
    listed = (await author.ListTaxLaws(pb.ListTaxLawsRequest(jurisdiction="DE", tax_year=2026))).laws
    assert [(each.version, each.in_force, each.source) for each in listed] == [(0, True, "this release")]


async def test_laws_are_listed_page_by_page(service):
    taxes = service.taxes()
    whole = (await taxes.ListTaxLaws(pb.ListTaxLawsRequest(page_size=1000))).laws
    request, pages = pb.ListTaxLawsRequest(page_size=20), []
    while True:
        page = await taxes.ListTaxLaws(request)
        pages.append(len(page.laws))
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert (sum(pages), max(pages)) == (len(whole), 20)
    assert {each.jurisdiction for each in whole} == {"CA", "DE", "GB", "US"}
