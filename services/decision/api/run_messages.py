"""Runs as messages."""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, status_pb2

from evenkeel.decision.v1 import run_service_pb2 as pb
from services.decision.app.comparing import KeptComparison
from services.decision.domain.comparison import Comparison, Figures
from services.decision.domain.outline import Totals
from services.decision.domain.run import RunProgress, RunState
from services.kernel.money import Money
from services.runtime.wire import decimal_message, instant_message, money_message

OPERATION_PREFIX = "operations/"

_STATES = {
    RunState.DECIDING: pb.Run.STATE_DECIDING,
    RunState.EXECUTING: pb.Run.STATE_EXECUTING,
    RunState.DONE: pb.Run.STATE_DONE,
    RunState.CANCELED: pb.Run.STATE_CANCELED,
}
# Drifts are shown to a hundredth of a basis point.
_WEIGHT_STEP = Decimal("0.000001")
_BPS_STEP = Decimal("0.000001")


def run_message(progress: RunProgress, now: datetime) -> pb.Run:
    """Return the message of a run and how far it is; stages that go on count until `now`."""
    run = progress.run
    message = pb.Run(
        run_id=run.run_id,
        state=_STATES[run.state],
        actor=run.actor,
        start_time=instant_message(run.start_time),
        as_of_time=instant_message(run.as_of_time),
        snapshot_id=run.snapshot_id,
        price_set_id=run.price_set_id,
        price_history_id=run.price_history_id,
        engine=run.engine,
        account_count=run.account_count,
        decided_count=progress.decided_count,
        outcome_counts={outcome.value: count for outcome, count in progress.outcome_counts.items()},
        plan_counts=progress.plan_counts,
        summary=_summary(progress.totals, run.currency),
        trace_parent=run.trace_parent or "",
        note=run.note,
        dry_run=run.dry_run,
        event=run.event,
    )
    if run.end_time is not None:
        message.end_time.CopyFrom(instant_message(run.end_time))
    for stage, spent in progress.stage_durations(now).items():
        message.stage_durations[stage].CopyFrom(_duration(spent))
    return message


def operation_message(progress: RunProgress, now: datetime) -> operations_pb2.Operation:
    """Return a run as a long-running operation: the run is its metadata, and its response when it is done."""
    run = run_message(progress, now)
    operation = operations_pb2.Operation(name=f"{OPERATION_PREFIX}{run.run_id}")
    operation.metadata.Pack(run)
    match progress.run.state:
        case RunState.DONE:
            operation.done = True
            operation.response.Pack(run)
        case RunState.CANCELED:
            operation.done = True
            operation.error.CopyFrom(status_pb2.Status(code=code_pb2.CANCELLED, message="the run was canceled"))
        case RunState.DECIDING | RunState.EXECUTING:
            pass
    return operation


def _summary(totals: Totals, currency: str) -> pb.RunSummary:
    def money(amount: Decimal) -> Money:
        return Money(amount, currency).to_cents()

    def mean(weighted: Decimal) -> Decimal:
        share = weighted / totals.value if totals.value else Decimal(0)
        return share.quantize(_WEIGHT_STEP, ROUND_HALF_EVEN)

    return pb.RunSummary(
        drift_before=decimal_message(mean(totals.drift_before_value)),
        drift_after=decimal_message(mean(totals.drift_after_value)),
        value=money_message(money(totals.value)),
        turnover=money_message(money(totals.turnover)),
        trading_cost=money_message(money(totals.trading_cost)),
        tax=money_message(money(totals.tax)),
        tax_saved=money_message(money(totals.tax_saved)),
        realised_gain=money_message(money(totals.realized_gain)),
        gap_max_bps=decimal_message(totals.gap_max_bps.quantize(_BPS_STEP, ROUND_HALF_EVEN)),
    )


def _duration(spent: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(spent)
    return message


def kept_comparison_message(kept: KeptComparison) -> pb.Comparison:
    """Return the message that says what an account got under both sides of a rollout."""
    return comparison_message(kept.run_id, kept.comparison, kept.decide_time)


def comparison_message(run_id: str, found: Comparison, decide_time: datetime) -> pb.Comparison:
    """Return the message that says what an account gets with a change and without, on the inputs of a run."""
    return pb.Comparison(
        run_id=run_id,
        account_id=found.account_id,
        change_id=found.sides.change_id,
        candidate_hash=found.sides.candidate_hash,
        incumbent_hash=found.sides.incumbent_hash,
        candidate_in_force=found.candidate_in_force,
        candidate=_figures_message(found.candidate),
        incumbent=_figures_message(found.incumbent),
        tax_delta_bps=decimal_message(found.tax_bps),
        cost_delta_bps=decimal_message(found.cost_bps),
        drift_delta_bps=decimal_message(found.drift_bps),
        turnover_delta_bps=decimal_message(found.turnover_bps),
        failed=found.failed,
        decide_time=instant_message(decide_time),
    )


def _figures_message(figures: Figures) -> pb.PolicyFigures:
    message = pb.PolicyFigures(outcome=figures.outcome.value)
    for name in ("tax_bps", "cost_bps", "drift_bps", "turnover_bps"):
        value = getattr(figures, name)
        if value is not None:
            getattr(message, name).CopyFrom(decimal_message(value))
    return message
