"""Which of a policy's safety nets a plan exceeds, so that it waits for a person."""

from decimal import Decimal

from services.decision.domain.decision import Decision, Fallback
from services.decision.domain.policy import Policy
from services.kernel.decimals import plain
from services.kernel.money import Money

BY_RULE_OF_THUMB = "the solver gave no optimum: the plan was made by a rule of thumb"


def review_reasons(policy: Policy, currency: str, decision: Decision) -> tuple[str, ...]:
    """Return why the plan waits for a person: each limit of the policy's safety nets that it exceeds."""
    if decision.certificate.fallback is Fallback.HEURISTIC:
        return (BY_RULE_OF_THUMB, *_reviewed(policy, currency, decision))
    return _reviewed(policy, currency, decision)


def _reviewed(policy: Policy, currency: str, decision: Decision) -> tuple[str, ...]:
    safety, summary = policy.safety, decision.explanation.summary
    value = summary.bought_value + summary.sold_value
    share = value / summary.mix_value
    gain = summary.gain_short + summary.gain_long
    error = summary.tracking_error_after_bps / 10_000
    reasons: list[str] = []
    if safety.review_turnover is not None and share > safety.review_turnover:
        reasons.append(f"turnover {share:.4f} exceeds {plain(safety.review_turnover)} of the account")
    reasons += _above("traded value", value, safety.review_value, currency)
    reasons += _above("net gain", gain, safety.review_gain, currency)
    reasons += _above("traded value", value, safety.daily_value_limit, currency, "a day")
    if safety.daily_orders_limit is not None and len(decision.trades) > safety.daily_orders_limit:
        reasons.append(f"{len(decision.trades)} orders exceed {safety.daily_orders_limit} a day")
    bps = summary.cost / summary.mix_value * 10_000
    if safety.review_cost_bps is not None and bps > safety.review_cost_bps:
        reasons.append(f"trading cost of {bps:.2f} bps exceeds {plain(safety.review_cost_bps)}")
    reasons += _above("tax", summary.tax_realized, safety.review_tax, currency)
    reasons += _below("the account's value", summary.mix_value, policy.account_minimum, currency)
    if policy.tracking_error_limit is not None and error > policy.tracking_error_limit:
        reasons.append(f"tracking error {error:.4f} after the plan exceeds {plain(policy.tracking_error_limit)}")
    return tuple(reasons)


def _above(what: str, amount: Decimal, limit: Money | None, currency: str, per: str = "") -> list[str]:
    if limit is None:
        return []
    if limit.currency != currency:
        return [f"{what} {amount:.2f} {currency} cannot be compared with the limit of {limit}"]
    return [f"{what} {amount:.2f} exceeds {limit} {per}".strip()] if amount > limit.amount else []


def _below(what: str, amount: Decimal, least: Money | None, currency: str) -> list[str]:
    if least is None:
        return []
    if least.currency != currency:
        return [f"{what} of {amount:.2f} {currency} cannot be compared with the least of {least}"]
    return [f"{what} of {amount:.2f} is below {least}"] if amount < least.amount else []
