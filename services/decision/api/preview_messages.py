"""Kept previews, and what can be withdrawn → messages."""

from collections.abc import Sequence

from evenkeel.decision.v1 import plan_service_pb2 as pb
from services.decision.api.plan_messages import draft_message
from services.decision.domain.preview_error import Measured, PreviewFigures, mean_absolute
from services.decision.domain.withdrawals import LargestWithdrawal
from services.kernel.money import Money
from services.runtime.wire import decimal_message, instant_message, money_message


def previews_message(shown: Sequence[Measured], token: str) -> pb.ListPreviewsResponse:
    """Return a page of previews, with the mean of their errors."""
    errors = [each.error for each in shown if each.error is not None]
    mean = mean_absolute(errors)
    message = pb.ListPreviewsResponse(
        previews=[_message(each) for each in shown], next_page_token=token, measured_count=len(errors)
    )
    if mean is not None:
        message.mean_absolute_error.CopyFrom(_figures(mean, shown[0].preview.currency))
    return message


def _message(measured: Measured) -> pb.KeptPreview:
    kept = measured.preview
    message = pb.KeptPreview(
        preview_id=kept.preview_id,
        name=kept.name,
        create_time=instant_message(kept.create_time),
        previewed=_figures(kept.figures, kept.currency),
        differing_inputs=[pb.KeptPreview.Input.Value(f"INPUT_{each.value}") for each in measured.differing],
    )
    if measured.came is not None and measured.error is not None:
        message.plan_id = measured.came.plan_id
        message.decided.CopyFrom(_figures(measured.came.figures, kept.currency))
        message.error.CopyFrom(_figures(measured.error, kept.currency))
    return message


def _figures(figures: PreviewFigures, currency: str) -> pb.PreviewFigures:
    return pb.PreviewFigures(
        turnover=decimal_message(figures.turnover),
        trading_cost=money_message(Money(figures.trading_cost, currency)),
        tax=money_message(Money(figures.tax, currency)),
        drift_after=decimal_message(figures.drift_after),
        tracking_error_after=decimal_message(figures.tracking_error_after),
    )


def withdrawal_message(largest: LargestWithdrawal) -> pb.LargestWithdrawal:
    """Return the message of a largest withdrawal."""
    totals, currency = largest.draft.outline.totals, largest.draft.outline.currency
    return pb.LargestWithdrawal(
        limit=pb.LargestWithdrawal.Limit.Value(f"LIMIT_{largest.limit.value}"),
        amount=money_message(Money(largest.amount, currency).to_cents()),
        bound=money_message(Money(largest.bound, currency).to_cents()),
        tax=money_message(Money(totals.tax, currency).to_cents()),
        trading_cost=money_message(Money(totals.trading_cost, currency).to_cents()),
        plan=draft_message(largest.draft),
        why_not_more=largest.why_not_more,
        sentence=largest.sentence,
    )
