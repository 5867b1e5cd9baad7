"""Whose approval does a change need?

Every change needs one person who is not its author. Beyond that the rules ask: a document's `approvals` bind its node
and everything below, and rules of all ancestors hold at once, so a lower level can ask for more and never for less. A
rule looks at how far a change reaches, in accounts and in what they are worth, and at which fields it sets, changes or
clears.

The rules are policy themselves: they change by change requests, under the rules that hold before the change. And since
whoever may weaken them could do anything, a change of them needs two people even where no rule says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.kernel.decimals import plain
from services.policy.domain.assets import Assets
from services.policy.domain.diff import differences
from services.policy.domain.document import ApprovalRule, Document

# Who changes the approval rules needs so many approvers, whatever the rules say.
RULE_CHANGE_COUNT = 2
_RULES = "approvals"


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's approval of one content.

    Attributes:
        roles: What the approver's token said then, sorted.
        recorded_time: When it was given.
    """

    approver: str
    roles: tuple[str, ...]
    comment: str
    recorded_time: datetime


@dataclass(frozen=True, slots=True)
class Need:
    """How many different people must approve, with which role; None for any.

    Attributes:
        description: Which rule asks, as a sentence.
    """

    role: str | None
    count: int
    description: str

    def given(self, approvals: Iterable[Approval]) -> int:
        """Return how many of the `count` have approved; never more."""
        people = {each.approver for each in approvals if self.role is None or self.role in each.roles}
        return min(len(people), self.count)


def needs(
    rules: Sequence[ApprovalRule], before: Document, after: Document, account_count: int, assets: Assets
) -> tuple[Need, ...]:
    """Return whose approval it takes to replace `before` by `after`.

    Args:
        rules: Those that hold at the node before the change.
        before: What the node says now.
        after: What it is to say.
        account_count: How many accounts are at and under the node.
        assets: What they are worth.
    """
    touched = {difference.path for difference in differences(before, after)}
    found = [Need(None, 1, "every change needs one approver")]
    if _RULES in touched:
        found.append(Need(None, RULE_CHANGE_COUNT, "a change of the approval rules needs two approvers"))
    for rule in rules:
        if account_count < (rule.account_minimum or 0):
            continue
        if rule.asset_minimum is not None and not assets.may_reach(rule.asset_minimum):
            continue
        if rule.fields and not any(_covers(field, path) for field in rule.fields for path in touched):
            continue
        found.append(Need(rule.role, rule.count, _sentence(rule, account_count, assets)))
    return tuple(dict.fromkeys(found))


def missing(needed: Iterable[Need], approvals: Sequence[Approval]) -> tuple[Need, ...]:
    """Return the needs that `approvals` do not meet. One person may meet several."""
    return tuple(need for need in needed if need.given(approvals) < need.count)


def _covers(field: str, path: str) -> bool:
    return path == field or path.startswith(f"{field}.")


def _sentence(rule: ApprovalRule, account_count: int, assets: Assets) -> str:
    who = f"{rule.count} with the role {rule.role}" if rule.role else f"{rule.count} approvers"
    what = f"a change of {', '.join(rule.fields)}" if rule.fields else "a change"
    reach = (
        f" that reaches {rule.account_minimum} accounts or more, this one {account_count}"
        if rule.account_minimum
        else ""
    )
    if rule.asset_minimum is not None:
        reach += f" that concerns assets of {rule.asset_minimum} or more, this one {_worth(assets)}"
    why = f" ({rule.reason})" if rule.reason else ""
    return f"{what}{reach}, needs {who}{why}" if reach else f"{what} needs {who}{why}"


def _worth(assets: Assets) -> str:
    sums = [f"{plain(amount)} {currency}" for currency, amount in sorted(assets.by_currency.items())]
    unknown = [f"{assets.unknown_count} accounts of unknown value"] if assets.unknown_count else []
    since = "" if assets.oldest_time is None else f" as of {assets.oldest_time.date().isoformat()}"
    return (" and ".join((*sums, *unknown)) or "nothing") + since
