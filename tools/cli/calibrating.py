"""`evenkeel calibrate`: what trades did cost, as parameters of the cost model."""

from datetime import datetime
from typing import Annotated

import typer

from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.policy.v1 import policy_service_pb2 as policy_pb
from evenkeel.policy.v1.policy_document_pb2 import PolicyDocument
from services.kernel.errors import NotFound, Rejected
from tools.cli.context import call, out, show
from tools.cli.policy import to_approve
from tools.cli.text import money, number, utc_message
from tools.client.session import Evenkeel
from tools.client.values import decimal, new_request_id


class NoRules(NotFound):
    """The node has no rules of its own that could be changed."""

    reason = "POLICY_VERSION_NOT_FOUND"


class FitNoBetter(Rejected):
    """Too few orders to tell better: what was fitted predicts those that it did not see no better than before."""

    reason = "COSTS_TOO_FEW"


def calibrate(
    context: typer.Context,
    currency: Annotated[str, typer.Option(help="Only orders in this currency.")] = "USD",
    run: Annotated[str, typer.Option(help="Only orders of this run.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Only orders closed at this instant (UTC) or later.")] = None,
    node: Annotated[str, typer.Option(help="Propose the parameters as a change of this policy node.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for who approves it.")] = "",
) -> None:
    """Fit the cost model to what closed orders did cost; with --node, submit the change for another to approve."""
    request = pb.GetCostCalibrationRequest(run_id=run, currency=currency)
    if since is not None:
        request.close_time_min.CopyFrom(utc_message(since))
    fit = call(context, "policy_author", lambda services: services.plans.GetCostCalibration(request))

    def readable() -> None:
        out.print(
            f"{fit.order_count:,} orders traded {money(fit.traded_value)}: predicted {money(fit.predicted_cost)}, "
            f"cost {money(fit.realized_cost)}",
            highlight=False,
        )
        out.print(
            f"cost:\n  spread_factor: {number(fit.spread_factor)}\n"
            f"  impact_coefficient: {number(fit.impact_coefficient)}",
            highlight=False,
        )
        out.print(
            f"error on orders that were not fitted: {number(fit.error_before_bps)} bp before, "
            f"{number(fit.error_after_bps)} bp after",
            highlight=False,
        )

    show(context, fit, readable)
    if not node:
        return
    why = reason or f"Fitted to {fit.order_count} closed orders: {number(fit.error_after_bps)} bp error, was " + number(
        fit.error_before_bps
    )
    change = call(context, "policy_author", lambda services: _proposed(services, node, fit, why))
    to_approve(change)


async def _proposed(
    services: Evenkeel, node: str, fit: pb.GetCostCalibrationResponse, why: str
) -> policy_pb.PolicyChange:
    if decimal(fit.error_after_bps) >= decimal(fit.error_before_bps):
        raise FitNoBetter(
            f"the error on orders that were not fitted must be below {number(fit.error_before_bps)} bp for a change,"
            f" was {number(fit.error_after_bps)} bp"
        )
    document = await _rules_of(services, node)
    document.cost.spread_factor.CopyFrom(fit.spread_factor)
    document.cost.impact_coefficient.CopyFrom(fit.impact_coefficient)
    drafted = await services.policy.CreateChange(
        policy_pb.CreateChangeRequest(request_id=new_request_id(), node_id=node, reason=why, document=document)
    )
    submitted = await services.policy.SubmitChange(
        policy_pb.SubmitChangeRequest(
            request_id=new_request_id(), change_id=drafted.change.change_id, etag=drafted.change.etag
        )
    )
    return submitted.change


async def _rules_of(services: Evenkeel, node: str) -> PolicyDocument:
    """Return a node's own document in force."""
    effective = await services.policy.GetEffectivePolicy(policy_pb.GetEffectivePolicyRequest(node_id=node))
    for version_hash in reversed(effective.policy.version_hashes):
        version = (
            await services.policy.GetPolicyVersion(policy_pb.GetPolicyVersionRequest(version_hash=version_hash))
        ).version
        if version.node_id == node:
            return version.document
    raise NoRules(f"{node} has no rules of its own in force", node_id=node)
