"""Profiles, consents and preferences through the service's own calls, against PostgreSQL, as decision reads them."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import grpc
import pytest
from google.type.date_pb2 import Date
from sqlalchemy import select

from evenkeel.policy.v1 import policy_service_pb2 as policy
from evenkeel.policy.v1 import profile_service_pb2 as pb
from evenkeel.policy.v1.profile_service_pb2_grpc import ProfileServiceStub
from services.decision.clients.policy_document import read_policy
from services.policy.domain.document import Document, Guardrail
from services.policy.domain.eligibility import Eligibility, Screen
from services.policy.domain.personal_rules import (
    AgeBudget,
    BudgetModel,
    ClientTerms,
    PreferenceLimits,
    ProfileRule,
    ToleranceBudget,
)
from services.policy.tables import outbox
from services.runtime.wire import decimal_message, instant_message
from tests.policy.api.conftest import Past, a_request_id, refused
from tests.policy.builders import DAY, NOON, both, risk, targets

INVALID = grpc.StatusCode.INVALID_ARGUMENT
FAILED = grpc.StatusCode.FAILED_PRECONDITION
NOT_FOUND = grpc.StatusCode.NOT_FOUND

RULE = Document(
    profile_rule=ProfileRule(
        tolerances=(ToleranceBudget(1, Decimal("0.05")), ToleranceBudget(5, Decimal("0.15"))),
        glide_path=(AgeBudget(60, Decimal("0.09")), AgeBudget(70, Decimal("0.05"))),
        models=(
            BudgetModel(Decimal("0.05"), "income"),
            BudgetModel(Decimal("0.09"), "balanced"),
            BudgetModel(Decimal("0.15"), "growth"),
        ),
    )
)
LIMITS = PreferenceLimits(
    tax_importance_minimum=Decimal("0.5"),
    tax_importance_maximum=Decimal(1),
    risk_steps_down=1,
    exclusions_limit=2,
    excluded_weight_limit=Decimal("0.5"),
    tilt_limit=Decimal("0.05"),
    cooling_off_days=7,
    window_days=30,
    tax_change_limit=Decimal("0.5"),
)


@Past
async def opened(service):
    """A firm with three models, a rule that chooses among them, and an account whose household has a client."""
    await service.plant(
        growth=("model", "firm"), balanced=("model", "firm"), income=("model", "firm"),
        program=("program", "firm"), family=("household", "program"), acc=("account", "family"),
    )  # fmt: skip
    await service.enact(targets(VTI="1"), "growth")
    await service.enact(targets(VTI="0.6", BND="0.4"), "balanced")
    await service.enact(targets(cash="0.1", BND="0.9"), "income")
    screens = Document(eligibility=Eligibility(screens=(Screen("oil", ("XOM", "VTI")),)))
    rules = both(RULE, Document(preferences=LIMITS), screens, risk(cash_floor="0"))
    return await service.enact(rules, "program")


@pytest.fixture
async def firm(service_after):
    """What `opened` left; `rule` is its rule."""
    service = await service_after(opened)
    service.rule = opened.left
    return service


def profile(born=date(1966, 3, 5), tolerance=7, **more):
    return pb.ClientProfile(
        birth_date=Date(year=born.year, month=born.month, day=born.day), tolerance=tolerance, **more
    )


async def set_profile(service, said=None, node_id="family", **more):
    request = pb.SetProfileRequest(
        request_id=a_request_id(), node_id=node_id, profile=said or profile(), reason="asked in the yearly talk", **more
    )
    return (await service.advisor.SetProfile(request)).record


async def set_preferences(service, **chosen):
    request = pb.SetPreferencesRequest(
        request_id=a_request_id(), account_id="acc", preferences=pb.ClientPreferences(**chosen), reason="a wish"
    )
    return await service.advisor.SetPreferences(request)


async def decided(service, at=None):
    """Return what decision reads for the account."""
    request = policy.ResolvePoliciesRequest(account_ids=["acc"])
    if at is not None:
        request.effective_time.CopyFrom(instant_message(at))
    parts = [part async for part in service.reading.ResolvePolicies(request)]
    (found,) = [each for part in parts for each in part.policies]
    return read_policy(found.document_bytes)


async def events(service, kind):
    async with service.database.read() as connection:
        query = select(outbox.c.subjects, outbox.c.body).where(outbox.c.kind == kind).order_by(outbox.c.seq)
        return [(row.subjects, json.loads(row.body)) for row in await connection.execute(query)]


def weights(read):
    return {str(each): weight for each, weight in read.weights.items()}


async def test_a_profile_leads_to_a_model_and_a_birthday_to_another(firm):
    assert weights(await decided(firm)) == {}
    await set_profile(firm)

    # 59 years old on 3 March 2026; 60 two days later, and then the glide path is the narrowest.
    birthday = datetime(2026, 3, 5, tzinfo=UTC)
    assert weights(await decided(firm)) == {"VTI": 1}
    assert weights(await decided(firm, birthday - timedelta(microseconds=1))) == {"VTI": 1}
    assert weights(await decided(firm, birthday)) == {"BND": Decimal("0.4"), "VTI": Decimal("0.6")}
    in_ten_years = await decided(firm, datetime(2036, 3, 5, tzinfo=UTC))
    assert (weights(in_ten_years), in_ten_years.cash_weight) == ({"BND": Decimal("0.9")}, Decimal("0.1"))

    found = await firm.effective("acc", birthday)
    (source, *_) = [each for each in found.sources if each.field == "client.risk_budget"]
    assert source.origin == policy.FieldSource.ORIGIN_PROFILE_RULE
    assert (source.node_id, source.author, source.approver) == ("program", "ann", "bob")
    assert source.version_hash == firm.rule.version_hash
    assert source.reason == (
        f"profile rule version {firm.rule.version_hash}: age 60 allows a risk budget of 0.09, so the model is balanced"
    )
    assert source.effective_time.ToDatetime(UTC) == birthday
    assert firm.rule.version_hash in found.policy.version_hashes


async def test_a_birthday_is_told_once_on_its_day(firm):
    await set_profile(firm)
    ((subjects, data),) = await events(firm, "policy.profile.led")
    assert (data["from_model"], data["to_model"], subjects["account"]) == (None, "growth", "acc")

    assert await firm.clients.look_at_due() == 0
    firm.market_clock.advance(timedelta(days=2))
    assert await firm.clients.look_at_due() == 1
    assert await firm.clients.look_at_due() == 0

    (_, (subjects, data)) = await events(firm, "policy.profile.led")
    assert (data["from_model"], data["to_model"], data["decided_by"]) == ("growth", "balanced", "age 60")
    assert subjects["policy_version"] == firm.rule.version_hash
    # A birthday that changes nothing is looked at, and not told.
    firm.market_clock.advance(timedelta(days=365))
    assert await firm.clients.look_at_due() == 1
    assert len(await events(firm, "policy.profile.led")) == 2


async def test_a_changed_profile_is_told_without_saying_what_it_says(firm):
    await set_profile(firm, profile(tolerance=7))
    firm.market_clock.advance(DAY)
    await set_profile(firm, profile(tolerance=2))

    assert weights(await decided(firm)) == {"BND": Decimal("0.9")}
    (_, (_, recorded)) = await events(firm, "policy.profile.recorded")
    assert recorded["fields"] == ["tolerance"]
    assert "1966" not in str(recorded)
    (_, (_, led)) = await events(firm, "policy.profile.led")
    assert (led["from_model"], led["to_model"], led["decided_by"]) == ("growth", "income", "tolerance 1")
    # What was so yesterday stays so.
    assert weights(await decided(firm, NOON + timedelta(seconds=10))) == {"VTI": 1}


async def test_the_nearest_profile_counts_and_says_what_comes_of_it(firm):
    await set_profile(firm, profile(tolerance=7))
    await set_profile(firm, profile(tolerance=1), "acc")

    got = await firm.advisor.GetProfile(pb.GetProfileRequest(node_id="acc"))
    assert (got.record.node_id, got.outcome.model_node_id, got.outcome.decided_by) == ("acc", "income", "tolerance 1")
    assert (got.outcome.next_date.year, got.outcome.next_date.month, got.outcome.next_date.day) == (2026, 3, 5)
    assert got.outcome.rule_version_hash == firm.rule.version_hash
    household = await firm.advisor.GetProfile(pb.GetProfileRequest(node_id="family"))
    assert household.record.profile.tolerance == 7
    async with refused(NOT_FOUND, "PROFILE_NOT_FOUND"):
        await firm.advisor.GetProfile(pb.GetProfileRequest(node_id="growth"))


async def test_a_profile_that_cannot_be_or_rewrites_the_past_is_refused(firm):
    async with refused(INVALID, "FIELD_INVALID") as fields:
        await set_profile(firm, profile(born=date(2026, 3, 4)))
    assert "2026-03-04" in fields["profile.birth_date"]
    async with refused(FAILED, "CLIENT_NODE_KIND"):
        await set_profile(firm, node_id="growth")
    async with refused(NOT_FOUND, "POLICY_NODE_NOT_FOUND"):
        await set_profile(firm, node_id="nobody")
    await set_profile(firm, effective_time=instant_message(NOON - 30 * DAY))
    async with refused(FAILED, "RECORD_ORDER"):
        await set_profile(firm, effective_time=instant_message(NOON - DAY))
    await set_profile(firm, profile(tolerance=1), effective_time=instant_message(NOON + DAY))
    async with refused(FAILED, "RECORD_ORDER"):
        await set_profile(firm)
    assert weights(await decided(firm)) == {"VTI": 1}
    assert weights(await decided(firm, NOON + DAY)) == {"BND": Decimal("0.9")}


async def test_a_repeated_request_records_once(firm):
    request = pb.SetProfileRequest(request_id=a_request_id(), node_id="acc", profile=profile(), reason="x")

    first, second = await firm.advisor.SetProfile(request), await firm.advisor.SetProfile(request)

    assert first == second
    assert len(await events(firm, "policy.profile.recorded")) == 1


async def test_without_a_valid_consent_nothing_is_planned(firm):
    await set_profile(firm)
    await firm.enact(both(RULE, Document(client=ClientTerms(("mandate",)))), "program")
    assert (await decided(firm)).hold == "no valid consent is on record: mandate"
    asked = policy.ExplainPolicyRequest(node_id="acc", field="client.missing_consents")
    explained = await firm.reading.ExplainPolicy(asked)
    assert explained.value == '["mandate"]'
    assert [said.source.node_id for said in explained.statements] == ["program"]

    now = firm.market_clock.now()
    request = pb.RecordConsentRequest(
        request_id=a_request_id(), node_id="family", kind="mandate", evidence="document 17",
        expire_time=instant_message(now + 10 * DAY),
    )  # fmt: skip
    await firm.advisor.RecordConsent(request)
    assert (await decided(firm)).hold is None
    assert (await decided(firm, now + 10 * DAY)).hold is not None

    firm.market_clock.advance(DAY)
    await firm.advisor.WithdrawConsent(
        pb.WithdrawConsentRequest(request_id=a_request_id(), node_id="family", kind="mandate", evidence="by letter")
    )
    assert (await decided(firm)).hold is not None
    listed = await firm.advisor.ListConsents(pb.ListConsentsRequest(node_id="family"))
    assert [each.given for each in listed.consents] == [True, False]
    assert list(listed.valid_kinds) == []
    async with refused(FAILED, "CONSENT_NOT_VALID"):
        await firm.advisor.WithdrawConsent(
            pb.WithdrawConsentRequest(request_id=a_request_id(), node_id="family", kind="mandate", evidence="again")
        )


async def test_preferences_inside_the_bounds_hold_at_once_without_an_approver(firm):
    await set_profile(firm)

    response = await set_preferences(
        firm,
        tax_importance=decimal_message(Decimal("0.7")),
        risk_steps=-1,
        exclusions=[pb.Exclusion(instrument_id="GME")],
    )

    read = await decided(firm)
    assert read.tax_importance == Decimal("0.7")
    assert weights(read) == {"BND": Decimal("0.4"), "VTI": Decimal("0.6")}
    assert [(r.instrument_id, r.kind.value) for r in read.restrictions] == [("GME", "EXCLUDED")]
    assert {each.field for each in response.differences} >= {"objective.tax_importance", "restrictions.items"}
    found = await firm.effective("acc")
    (source,) = [each for each in found.sources if each.field == "objective.tax_importance"]
    assert (source.origin, source.author, source.approver) == (policy.FieldSource.ORIGIN_PREFERENCE, "ada", "")


async def test_what_a_client_says_voids_what_was_planned_before(firm):
    await set_profile(firm)

    async def against(at=None, *, since):
        """Return what policy has against a plan that rests on the policy `since`."""
        request = policy.CheckPoliciesRequest(
            accounts=[
                policy.AccountVersions(
                    account_id="acc", version_hashes=since.policy.version_hashes, policy_hash=since.policy.policy_hash
                )
            ]
        )
        if at is not None:
            request.effective_time.CopyFrom(instant_message(at))
        return [each.description for each in (await firm.reading.CheckPolicies(request)).verdicts]

    planned = await firm.effective("acc")
    assert await against(since=planned) == []
    # The day before, and the day on which the client is 60 and led to another model.
    assert await against(NOON + DAY, since=planned) == []
    assert len(await against(NOON + 2 * DAY, since=planned)) == 1

    await set_preferences(firm, tax_importance=decimal_message(Decimal("0.7")))

    (words,) = await against(since=planned)
    assert words == "what is on record of acc, or holds by the day, changed since it was planned for"
    again = await firm.effective("acc")
    assert await against(since=again) == []
    await set_profile(firm, profile(tolerance=4))
    assert len(await against(since=again)) == 1


@pytest.mark.parametrize(
    ("chosen", "field", "words"),
    [
        ({"tax_importance": decimal_message(Decimal("0.4"))}, "tax_importance", "must be 0.5 to 1, was 0.4"),
        ({"risk_steps": 1}, "risk_steps", "must be -1 to 0, was 1"),
        ({"risk_steps": -2}, "risk_steps", "must be -1 to 0, was -2"),
        (
            {"exclusions": [pb.Exclusion(instrument_id=each) for each in "ABC"]},
            "exclusions",
            "must be at most 2, were 3",
        ),
        ({"exclusions": [pb.Exclusion(screen="oil")]}, "exclusions", "must concern at most 0.5 of the target mix"),
        ({"exclusions": [pb.Exclusion(screen="arms")]}, "exclusions[0].screen", "must be one of the screens (oil)"),
        (
            {"tilts": [pb.Tilt(instrument_id="VTI", shift=decimal_message(Decimal("-0.06")))]},
            "tilts[0].shift",
            "must be at most 0.05 either way, was -0.06",
        ),
        (
            {"tilts": [pb.Tilt(instrument_id="VTI", shift=decimal_message(Decimal("-0.05")))]},
            "tilts",
            "must sum to 0, what goes to one comes from another; sum to -0.05",
        ),
        (
            {"tilts": [pb.Tilt(instrument_id="GLD", shift=decimal_message(Decimal("0.05")))]},
            "tilts[0].instrument_id",
            "must be in the target mix, was GLD",
        ),
    ],
)
async def test_preferences_outside_are_refused_with_the_bound_and_previewed_without_writing(firm, chosen, field, words):
    await set_profile(firm)
    before = await decided(firm)

    async with refused(INVALID, "PREFERENCE_OUTSIDE_BOUNDS") as fields:
        await set_preferences(firm, **chosen)

    assert words in fields[f"preferences.{field}"]
    preview = await firm.advisor.PreviewPreferences(
        pb.PreviewPreferencesRequest(account_id="acc", preferences=pb.ClientPreferences(**chosen))
    )
    assert (f"preferences.{field}", "PREFERENCE_OUTSIDE_BOUNDS") in [(p.field, p.reason) for p in preview.problems]
    assert await decided(firm) == before
    assert await events(firm, "policy.preferences.recorded") == []


async def test_a_tilt_moves_weight_inside_the_model(firm):
    await set_profile(firm, profile(born=date(1960, 1, 1)))
    shifts = {"VTI": "0.05", "BND": "-0.05"}
    tilts = [pb.Tilt(instrument_id=each, shift=decimal_message(Decimal(shift))) for each, shift in shifts.items()]

    await set_preferences(firm, tilts=tilts)

    assert weights(await decided(firm)) == {"BND": Decimal("0.35"), "VTI": Decimal("0.65")}


async def test_a_change_of_mind_needs_time_and_is_limited_in_sum(firm):
    await set_profile(firm)
    await set_preferences(firm, tax_importance=decimal_message(Decimal("0.7")))

    firm.market_clock.advance(7 * DAY - timedelta(seconds=1))
    async with refused(FAILED, "PREFERENCE_COOLING_OFF") as fields:
        await set_preferences(firm, tax_importance=decimal_message(Decimal("0.8")))
    assert "7 days later" in fields[""]
    firm.market_clock.advance(timedelta(seconds=1))
    # From 1 to 0.7 and on to 0.95 is 0.55 within 30 days; to 0.9 it is 0.5.
    async with refused(FAILED, "PREFERENCE_CHANGE_LIMIT") as fields:
        await set_preferences(firm, tax_importance=decimal_message(Decimal("0.95")))
    assert "would change by 0.55 within 30 days, at most 0.5 is allowed" in fields[""]
    await set_preferences(firm, tax_importance=decimal_message(Decimal("0.9")))
    firm.market_clock.advance(30 * DAY)
    await set_preferences(firm, tax_importance=decimal_message(Decimal("0.5")))
    got = await firm.advisor.GetPreferences(pb.GetPreferencesRequest(account_id="acc"))
    assert [each.preferences.tax_importance.value for each in got.records] == ["0.7", "0.9", "0.5"]
    assert got.limits.tax_importance_minimum.value == "0.5"


async def test_a_guardrail_that_is_younger_than_a_preference_overrules_it(firm):
    await set_profile(firm)
    await set_preferences(firm, tax_importance=decimal_message(Decimal("0.7")))

    await firm.enact(Document(guardrails=(Guardrail("objective.tax_importance", Decimal("0.8")),)))

    assert (await decided(firm)).tax_importance == 1
    narrower = PreferenceLimits(tax_importance_minimum=Decimal("0.8"), tax_importance_maximum=Decimal(1))
    await firm.enact(Document())
    assert (await decided(firm)).tax_importance == Decimal("0.7")
    await firm.enact(both(RULE, Document(preferences=narrower)), "program")
    assert (await decided(firm)).tax_importance == 1


async def test_what_a_client_excludes_stays_excluded_when_limits_narrow_or_a_screen_goes(firm):
    await set_profile(firm, profile(born=date(1960, 1, 1)))
    await set_preferences(firm, exclusions=[pb.Exclusion(instrument_id="BND")])
    assert {r.instrument_id for r in (await decided(firm)).restrictions} == {"BND"}

    await firm.enact(RULE, "program")

    assert {r.instrument_id for r in (await decided(firm)).restrictions} == {"BND"}


async def test_who_may_not_say_what_clients_say_is_refused(firm):
    denied = grpc.StatusCode.PERMISSION_DENIED
    author = firm.stub("ann2", "policy_author", kind=ProfileServiceStub)
    async with refused(denied, "ROLE_MISSING"):
        await author.GetProfile(pb.GetProfileRequest(node_id="acc"))
    auditor = firm.stub("carl", "compliance_officer", kind=ProfileServiceStub)
    await set_profile(firm)
    assert (await auditor.GetProfile(pb.GetProfileRequest(node_id="acc"))).record.sequence == 1
    async with refused(denied, "ROLE_MISSING"):
        await auditor.SetPreferences(
            pb.SetPreferencesRequest(
                request_id=a_request_id(), account_id="acc", preferences=pb.ClientPreferences(risk_steps=-1)
            )
        )


async def test_of_two_changes_at_once_one_holds(firm):
    await set_profile(firm)

    async def choose(tax):
        try:
            await set_preferences(firm, tax_importance=decimal_message(Decimal(tax)))
        except grpc.aio.AioRpcError as error:
            return error.code()
        return None

    outcomes = await asyncio.gather(choose("0.6"), choose("0.7"))

    assert outcomes.count(None) == 1
    assert set(outcomes) - {None} <= {grpc.StatusCode.ABORTED, FAILED}
    got = await firm.advisor.GetPreferences(pb.GetPreferencesRequest(account_id="acc"))
    assert len(got.records) == 1


async def test_presets_are_listed_with_where_they_were_published(service):
    found = await service.stub("pia", "policy_author", kind=ProfileServiceStub).ListPresets(pb.ListPresetsRequest())

    names = [preset.name for preset in found.presets]
    assert names == sorted(names)
    assert {"vanguard-200-175", "daryanani-20-10", "swedroe-5-25", "hybrid-20-1", "balanced"} <= set(names)


async def test_who_a_client_is_for_supervisors_is_on_record_and_told_to_audit(firm):
    who = pb.ClientIdentity(
        scheme=pb.ClientIdentity.SCHEME_NATIONAL, identifier="DE12345", first_names="ADA", surnames="CLIENT"
    )

    recorded = await set_profile(firm, profile(identity=who))

    assert recorded.profile.identity == who
    known = await firm.advisor.GetProfile(pb.GetProfileRequest(node_id="acc"))
    assert known.record.profile.identity == who
    _, told = (await events(firm, "policy.profile.recorded"))[-1]
    assert told["identity"] == {
        "scheme": "NIDN",
        "identifier": "DE12345",
        "first_names": "ADA",
        "surnames": "CLIENT",
        "birth_date": "1966-03-05",
    }


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"scheme": pb.ClientIdentity.SCHEME_LEI, "identifier": "506700GE1G29325QX364"}, "identifier"),
        (
            {"scheme": pb.ClientIdentity.SCHEME_LEI, "identifier": "506700GE1G29325QX363", "surnames": "X"},
            "surnames",
        ),
        ({"scheme": pb.ClientIdentity.SCHEME_PASSPORT, "identifier": "de1", "first_names": "A"}, "surnames"),
    ],
)
async def test_an_identity_that_cannot_be_is_refused_by_its_field(firm, said, field):
    async with refused(INVALID, "FIELD_INVALID") as fields:
        await set_profile(firm, profile(identity=pb.ClientIdentity(**said)))

    assert f"profile.identity.{field}" in fields
