import asyncio
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.type.decimal_pb2 import Decimal as DecimalMessage

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1 import rollout_pb2 as rollout_pb
from evenkeel.policy.v1 import rollout_service_pb2 as service_pb
from services.kernel.money import Money
from services.policy.app import checking
from services.policy.domain.document import ApprovalRule, Bands, Document
from services.policy.domain.mixes import Targets
from services.runtime.wire import decimal_message, instant_message, money_message, words_of
from tests.policy.api.conftest import Past, a_request_id, refused
from tests.policy.builders import NOON, bands, both, guarded, risk, targets

SECOND = timedelta(seconds=1)
OLD, NEW = both(targets(VTI="1"), risk(cash_ceiling="0.1")), both(targets(VTI="1"), risk(cash_ceiling="0.2"))
CONFLICT, REJECTED = grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION
ACCOUNTS = [f"acc{number}" for number in range(20)]


def a_plan(*, share=5_000, cohort=(), bound="5", window=2, metric=rollout_pb.StopRule.METRIC_TAX):
    rule = rollout_pb.StopRule(metric=metric, bound_bps=DecimalMessage(value=bound), window=window)
    if cohort:
        return rollout_pb.RolloutPlan(cohort=rollout_pb.Cohort(name="friends", node_ids=cohort), stop_rules=[rule])
    return rollout_pb.RolloutPlan(share_bps=share, stop_rules=[rule])


@Past
async def grown(service):
    await service.plant(growth=("model", "firm"), **dict.fromkeys(ACCOUNTS, ("account", "growth")))
    await service.enact(OLD, "growth")


@pytest.fixture
async def planted(service_after):
    return await service_after(grown)


async def begin(service, plan=None, document=NEW, node_id="growth"):
    service.market_clock.advance(SECOND)
    change = await service.draft(document, node_id, rollout=plan or a_plan())
    return await service.approve(await service.submit(change))


async def report(service, change, *taxes, run="run-1", failed=False):
    zero = decimal_message(Decimal(0))
    return await service.rollouts("decision", "decision_service").ReportComparisons(
        service_pb.ReportComparisonsRequest(
            request_id=a_request_id(),
            comparisons=[
                service_pb.ReportedComparison(
                    change_id=change.change_id,
                    run_id=run,
                    account_id=f"acc{row}",
                    tax_bps=decimal_message(Decimal(tax)),
                    cost_bps=zero,
                    drift_bps=zero,
                    turnover_bps=zero,
                    failed=failed,
                )
                for row, tax in enumerate(taxes)
            ],
        )
    )


async def rollout_of(service, change):
    found = await service.rollouts().GetRollout(service_pb.GetRolloutRequest(change_id=change.change_id))
    return found.rollout


async def advance(service, change, by="bob", etag=None):
    service.market_clock.advance(SECOND)
    etag = etag or (await rollout_of(service, change)).etag
    request = service_pb.AdvanceRolloutRequest(
        request_id=a_request_id(), change_id=change.change_id, etag=etag, reason="well"
    )
    return (await service.rollouts(by).AdvanceRollout(request)).rollout


async def roll_back(service, change, by="bob"):
    service.market_clock.advance(SECOND)
    request = service_pb.RollBackRolloutRequest(request_id=a_request_id(), change_id=change.change_id, reason="no")
    return (await service.rollouts(by).RollBackRollout(request)).rollout


async def resolved(service, **request):
    """Return the policy hash of every account, and the comparisons."""
    hashes, comparisons = {}, {}
    async for part in service.reading.ResolvePolicies(pb.ResolvePoliciesRequest(with_comparisons=True, **request)):
        hashes |= dict(zip(part.account_ids, words_of(part.policy_hashes, "policy_hashes"), strict=True))
        comparisons |= {each.account_id: each for each in part.comparisons}
    return hashes, comparisons


async def test_a_rollout_goes_from_nobody_to_some_to_all_and_everybody_always_has_one_version(planted):
    before, none = await resolved(planted)
    assert (len(set(before.values())), none) == (1, {})
    change = await begin(planted)
    assert change.state == pb.PolicyChange.STATE_ROLLING_OUT

    shadow, comparisons = await resolved(planted)
    assert shadow == before
    assert {each.incumbent_hash for each in comparisons.values()} == set(before.values())
    assert set(comparisons) == set(ACCOUNTS)
    (candidate,) = {each.candidate_hash for each in comparisons.values()}

    async with refused(REJECTED, "ROLLOUT_EVIDENCE_MISSING"):
        await advance(planted, change)
    assert (await report(planted, change, "1", "2")).taken_count == 2
    assert (await report(planted, change, "1", "2")).taken_count == 0
    reading = (await rollout_of(planted, change)).readings[0]
    assert (reading.count, Decimal(reading.mean_bps.value), reading.broken) == (2, Decimal("1.5"), False)

    assert (await advance(planted, change)).stage == rollout_pb.ROLLOUT_STAGE_CANARY
    canary_time = planted.market_clock.now()
    canary, comparisons = await resolved(planted)
    assert set(Counter(canary.values())) == {candidate, *before.values()}
    assert all(canary[each] in (found.candidate_hash, found.incumbent_hash) for each, found in comparisons.items())
    chosen = next(each for each in ACCOUNTS if canary[each] == candidate)
    past = await planted.reading.GetPolicyAsOf(
        pb.GetPolicyAsOfRequest(node_id=chosen, effective_time=instant_message(canary_time))
    )
    assert list(past.rollout_version_hashes) == [change.version_hash] == [past.versions[-1].version_hash]
    assert (past.versions[-1].author, past.versions[-1].approver) == ("ann", "bob")
    in_force = await planted.reading.CheckVersions(pb.CheckVersionsRequest(version_hashes=[change.version_hash]))
    assert list(in_force.in_force_version_hashes) == [change.version_hash]

    assert (await advance(planted, change)).stage == rollout_pb.ROLLOUT_STAGE_ALL
    everybody, none = await resolved(planted)
    assert (set(everybody.values()), none) == ({candidate}, {})
    assert (await planted.get(change)).state == pb.PolicyChange.STATE_ACTIVE
    # History shows which it had.
    assert (await resolved(planted, effective_time=instant_message(canary_time)))[0] == canary
    listed = await planted.rollouts().ListRollouts(service_pb.ListRolloutsRequest(node_id="growth"))
    assert [step.stage for step in listed.rollouts[0].steps] == [1, 2, 3]
    kinds = [
        each.kind for each in (await anext(aiter(planted.reading.WatchPolicies(pb.WatchPoliciesRequest())))).notices
    ]
    assert kinds[-3:] == [
        pb.PolicyNotice.KIND_SHADOWED, pb.PolicyNotice.KIND_CANARIED, pb.PolicyNotice.KIND_ACTIVATED,
    ]  # fmt: skip


async def test_a_broken_stop_rule_takes_the_rollout_back_by_itself(planted):
    before, _ = await resolved(planted)
    change = await begin(planted)
    await report(planted, change, "1", "2")
    await advance(planted, change)
    assert (await resolved(planted))[0] != before

    await report(planted, change, "6", "9", run="run-2")

    found = await rollout_of(planted, change)
    assert (found.stage, found.steps[-1].actor) == (rollout_pb.ROLLOUT_STAGE_ROLLED_BACK, "rule:stop")
    assert "7.5" in found.steps[-1].reason
    assert (await resolved(planted))[0] == before
    assert (await planted.get(change)).state == pb.PolicyChange.STATE_ROLLED_BACK
    assert (await report(planted, change, "1", run="run-3")).taken_count == 0
    async with refused(REJECTED, "ROLLOUT_STATE"):
        await advance(planted, change)


async def test_a_cohort_has_it_and_a_person_takes_it_back(planted):
    change = await begin(planted, a_plan(cohort=["acc3", "acc4"], window=1))
    await report(planted, change, "1")
    await advance(planted, change)
    hashes, comparisons = await resolved(planted)
    assert [each for each in ACCOUNTS if hashes[each] == comparisons[each].candidate_hash] == ["acc3", "acc4"]

    await roll_back(planted, change, by="zoe")

    assert len(set((await resolved(planted))[0].values())) == 1


async def test_while_a_rollout_is_open_nothing_else_is_approved_for_its_node(planted):
    waiting = await planted.submit(await planted.draft(risk(cash_ceiling="0.3"), "growth"))
    change = await begin(planted)

    async with refused(REJECTED, "ROLLOUT_OPEN"):
        await planted.approve(waiting)
    await roll_back(planted, change)
    assert (await planted.approve(waiting)).state == pb.PolicyChange.STATE_ACTIVE


async def test_what_could_not_work_with_what_is_being_rolled_out_is_not_approved(planted):
    # Those in the canary have a floor that the cash of no mix may be below.
    change = await begin(planted, document=both(OLD, risk(cash_floor="0.05"), targets(cash="0.1", VTI="0.9")))
    planted.market_clock.advance(SECOND)

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "POLICY_CONTRADICTION") as fields:
        await planted.submit(await planted.draft(targets(cash="0.01", VTI="0.99"), "acc0"))

    assert f"with this and change {change.change_id}, being rolled out, acc0 could not work" in fields[""]
    await roll_back(planted, change)
    assert (await planted.enact(targets(cash="0.01", VTI="0.99"), "acc0")).state == pb.PolicyChange.STATE_ACTIVE


def usd(amount):
    return Money(Decimal(amount), "USD")


async def test_every_choice_of_what_is_being_rolled_out_is_judged(service, monkeypatch):
    await service.plant(
        core=("program", "firm"), growth=("model", "core"), home=("household", "growth"), acc=("account", "home")
    )
    await service.enact(both(targets(VTI="1"), bands(trigger="0.05", destination="0.01")))
    narrow = await begin(service, document=bands(trigger="0.01", destination="0.001"), node_id="core")
    large = await begin(service, document=Document(bands=Bands(minimum_trade=usd(100))), node_id="growth")
    small = await begin(service, document=Document(bands=Bands(minimum_trade=usd(10))), node_id="home")
    # Of 5,000 a band of 1 % is worth 50: less than the large trade and more than the small one. So each of the three
    # is well, and all together are, and only two of them without the third are not.
    least = Document(targets=Targets(account_minimum=usd(5_000)))
    service.market_clock.advance(SECOND)

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "POLICY_CONTRADICTION") as fields:
        await service.submit(await service.draft(least, "acc"))
    assert {each.change_id in fields[""] for each in (narrow, large)} == {True}
    assert small.change_id not in fields[""]

    monkeypatch.setattr(checking, "ROLLOUTS_TOGETHER_MAX", 2)
    async with refused(REJECTED, "ROLLOUTS_EXCEED_LIMIT") as fields:
        await service.submit(await service.draft(least, "acc"))
    assert "3 open rollouts can reach acc, and at most 2 can be judged together" in fields[""]
    assert "core, growth, home" in fields[""]
    monkeypatch.undo()

    await roll_back(service, large)
    assert (await service.enact(least, "acc")).state == pb.PolicyChange.STATE_ACTIVE


async def test_an_author_does_not_advance_and_of_two_readers_one_does(planted):
    change = await begin(planted, a_plan(window=1))
    await report(planted, change, "1")
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "SELF_APPROVAL"):
        await advance(planted, change, by="ann")
    etag = (await rollout_of(planted, change)).etag

    outcomes = await asyncio.gather(
        advance(planted, change, "bob", etag), advance(planted, change, "cy", etag), return_exceptions=True
    )

    assert sorted(isinstance(each, grpc.aio.AioRpcError) for each in outcomes) == [False, True]
    assert (await rollout_of(planted, change)).stage == rollout_pb.ROLLOUT_STAGE_CANARY


async def test_who_approved_may_lead_a_rollout_on_and_who_wrote_it_may_only_take_it_back(planted):
    change = await begin(planted, a_plan(window=1))
    assert (change.author, change.approver) == ("ann", "bob")
    # Not by judgement: what was approved says what must be seen first.
    async with refused(REJECTED, "ROLLOUT_EVIDENCE_MISSING"):
        await advance(planted, change, by="bob")
    await report(planted, change, "1")
    assert (await advance(planted, change, by="bob")).stage == rollout_pb.ROLLOUT_STAGE_CANARY

    # Roles do not help: it is the person who wrote it.
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "SELF_APPROVAL"):
        await advance(planted, change, by="ann")
    assert (await roll_back(planted, change, by="ann")).stage == rollout_pb.ROLLOUT_STAGE_ROLLED_BACK


async def test_what_could_not_work_any_more_does_not_advance(planted):
    change = await begin(planted, a_plan(window=1))
    await report(planted, change, "1")
    await planted.enact(guarded("risk.cash_ceiling", maximum="0.15"))

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "GUARDRAIL_EXCEEDED"):
        await advance(planted, change)


async def test_a_rollout_is_part_of_what_is_proposed(planted):
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        await planted.draft(NEW, "growth", rollout=a_plan(), effective_time=NOON + timedelta(days=9))
    assert "effective_time" in fields
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await planted.draft(NEW, "growth", rollout=rollout_pb.RolloutPlan(share_bps=10))
    async with refused(grpc.StatusCode.NOT_FOUND, "ROLLOUT_NOT_FOUND"):
        await roll_back(planted, pb.PolicyChange(change_id="none"))

    change = await planted.submit(await planted.draft(NEW, "growth", rollout=a_plan()))
    edited = await planted.author().UpdateChange(
        pb.UpdateChangeRequest(
            request_id=a_request_id(),
            change_id=change.change_id,
            etag=change.etag,
            update_mask=FieldMask(paths=["rollout"]),
        )
    )
    assert (edited.change.HasField("rollout"), edited.change.state) == (False, pb.PolicyChange.STATE_DRAFT)


# Approvals by several people.


async def two_rules(service):
    """Have the firm ask for two people, one of them a risk officer for risk, of changes that reach 10 accounts."""
    rules = (
        ApprovalRule(2, account_minimum=10),
        ApprovalRule(1, role="risk_officer", account_minimum=10, fields=("risk",)),
    )
    service.market_clock.advance(SECOND)
    change = await service.submit(await service.draft(Document(approvals=rules)))
    assert (await service.approve(change)).state == pb.PolicyChange.STATE_SUBMITTED
    return await service.approve(change, "cy")


async def test_a_change_that_reaches_far_needs_those_whom_the_rules_ask_for(planted):
    assert (await two_rules(planted)).state == pb.PolicyChange.STATE_ACTIVE
    planted.market_clock.advance(SECOND)
    change = await planted.submit(await planted.draft(NEW, "growth"))
    assert change.account_count == 20
    assert [(each.role, each.count, each.given_count) for each in change.approval_needs] == [
        ("", 1, 0), ("", 2, 0), ("risk_officer", 1, 0),
    ]  # fmt: skip

    waiting = await planted.approve(change)
    assert (waiting.state, waiting.etag) == (pb.PolicyChange.STATE_SUBMITTED, change.etag)
    async with refused(REJECTED, "APPROVED_ALREADY"):
        await planted.approve(change)
    still = await planted.approve(change, "cy")
    assert [(each.role, each.given_count) for each in still.approval_needs] == [("", 1), ("", 2), ("risk_officer", 0)]
    assert (await planted.effective("acc1")).document.risk.cash_ceiling.value == "0.1"

    done = await planted.approve(change, "rita", role="risk_officer")

    assert done.state == pb.PolicyChange.STATE_ACTIVE
    assert [each.approver for each in done.approvals] == ["bob", "cy", "rita"]
    assert (await planted.effective("acc1")).document.risk.cash_ceiling.value == "0.2"
    # One account is not far, and its change needs one.
    planted.market_clock.advance(SECOND)
    near = await planted.approve(await planted.submit(await planted.draft(risk(cash_ceiling="0.3"), "acc1")))
    assert near.state == pb.PolicyChange.STATE_ACTIVE


def worth(account_id, amount, at=NOON):
    value = money_message(Money(Decimal(amount), "USD"))
    return pb.AccountValue(account_id=account_id, value=value, as_of_time=instant_message(at))


async def test_a_change_that_concerns_much_needs_those_whom_the_rules_ask_for(planted):
    rule = ApprovalRule(1, role="risk_officer", asset_minimum=Money(Decimal(1_000), "USD"))
    change = await planted.submit(await planted.draft(Document(approvals=(rule,))))
    await planted.approve(change)
    await planted.approve(change, "cy")
    planted.market_clock.advance(SECOND)

    async def record(*values):
        request = pb.RecordAccountValuesRequest(request_id=a_request_id(), values=values)
        return (await planted.engineer.RecordAccountValues(request)).recorded_count

    # Of nobody is it known what they are worth, so the rule asks.
    waiting = await planted.submit(await planted.draft(NEW, "growth"))
    assert "20 accounts of unknown value" in waiting.approval_needs[1].description
    assert await record(*(worth(each, 40) for each in ACCOUNTS)) == 20
    assert await record(worth("acc1", 1_000_000, NOON - SECOND)) == 0
    (only,) = (await planted.get(waiting)).approval_needs
    assert only.role == ""
    await record(worth("acc1", 240, NOON + SECOND))
    _, officer = (await planted.get(waiting)).approval_needs
    assert (officer.role, officer.count) == ("risk_officer", 1)
    assert "this one 1000 USD as of 2026-03-03" in officer.description
    assert (await planted.approve(waiting)).state == pb.PolicyChange.STATE_SUBMITTED
    assert (await planted.approve(waiting, "rita", role="risk_officer")).state == pb.PolicyChange.STATE_ACTIVE

    async with refused(grpc.StatusCode.NOT_FOUND, "POLICY_NODE_NOT_FOUND"):
        await record(worth("acc1", 1), worth("growth", 1))
    of_the_book = pb.RecordAccountValuesRequest(
        request_id=a_request_id(), values=[worth("acc1", 1, NOON + SECOND), worth("growth", 1)], allow_missing=True
    )
    answer = await planted.engineer.RecordAccountValues(of_the_book)
    assert (answer.recorded_count, list(answer.missing_account_ids)) == (1, ["growth"])
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        await record(worth("acc1", -1), worth("acc1", 1))
    assert fields.keys() >= {"values[0].value", "values[1].account_id"}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (ApprovalRule(1, role="chief_wizard"), "nobody with the role 'chief_wizard' may approve"),
        (ApprovalRule(1, role="policy_author"), "nobody with the role 'policy_author' may approve"),
        (ApprovalRule(1, fields=("risk", "risk.cash_flor")), "'risk.cash_flor' is neither a field nor a section"),
    ],
)
async def test_a_rule_of_approval_that_could_never_be_met_is_refused(service, rule, words):
    await service.plant()

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "POLICY_CONTRADICTION") as fields:
        await service.draft(Document(approvals=(rule,)))
    assert words in fields["document.approvals"]


async def test_an_edit_voids_the_approvals_it_had(planted):
    await two_rules(planted)
    planted.market_clock.advance(SECOND)
    change = await planted.submit(await planted.draft(NEW, "growth"))
    await planted.approve(change)
    edited = await planted.author().UpdateChange(
        pb.UpdateChangeRequest(
            request_id=a_request_id(),
            change_id=change.change_id,
            etag=change.etag,
            reason="said better",
            update_mask=FieldMask(paths=["reason"]),
        )
    )
    assert list(edited.change.approvals) == []

    again = await planted.submit(edited.change)

    assert [each.given_count for each in again.approval_needs] == [0, 0, 0]
    assert (await planted.approve(again, "rita", role="risk_officer")).state == pb.PolicyChange.STATE_SUBMITTED


async def test_approvals_that_race_an_edit_are_for_what_was_read_or_for_nothing(planted):
    for turn in range(5):
        planted.market_clock.advance(SECOND)
        document = both(targets(VTI="1"), risk(cash_ceiling=f"0.3{turn}"))
        change = await planted.submit(await planted.draft(document, "growth"))
        edit = pb.UpdateChangeRequest(
            request_id=a_request_id(),
            change_id=change.change_id,
            etag=change.etag,
            reason="another",
            update_mask=FieldMask(paths=["reason"]),
        )
        approval = pb.ApproveChangeRequest(
            request_id=a_request_id(), change_id=change.change_id, version_hash=change.version_hash, etag=change.etag
        )
        outcomes = await asyncio.gather(
            planted.author().UpdateChange(edit), planted.approver().ApproveChange(approval), return_exceptions=True
        )
        now = await planted.get(change)
        assert [isinstance(each, grpc.aio.AioRpcError) for each in outcomes].count(True) == 1
        if now.state == pb.PolicyChange.STATE_ACTIVE:
            assert (now.reason, now.approver) == ("because", "bob")
        else:
            assert (now.state, now.reason, now.approver) == (pb.PolicyChange.STATE_DRAFT, "another", "")
            assert outcomes[1].code() in (CONFLICT, REJECTED)
