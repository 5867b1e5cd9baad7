"""What the stages of runs ask again and again, also while there is nothing to do, as statements.

Each is written once, as writing it takes SQLAlchemy longer than running it takes PostgreSQL; what differs are its
parameters.
"""

from typing import Any

from sqlalchemy import ColumnElement, DateTime, Integer, and_, bindparam, exists, or_, select, update

from services.decision.domain.plan import PlanState
from services.decision.domain.run import RunState
from services.decision.store.plan_rows import LISTED
from services.decision.tables.runs import plan, run, run_account, run_policy, run_shard, submission

# Runs whose approved plans may be sent: decided as a whole. A plan that a person approves later belongs to a run that
# is done already.
_SENDING_STATES = (RunState.EXECUTING.value, RunState.DONE.value)

# A run without what only the store uses.
RUN = [column for column in run.c if column.name not in ("sequence", "pin_after_time")]

_LIMIT: Any = bindparam("limit", type_=Integer)
_AT: Any = bindparam("at", type_=DateTime(timezone=True))
_UNTIL: Any = bindparam("until", type_=DateTime(timezone=True))
_NOW: Any = bindparam("now", type_=DateTime(timezone=True))
_MARKET_TIME: Any = bindparam("market_time", type_=DateTime(timezone=True))


def held_back() -> ColumnElement[bool]:
    """Return the condition for a plan that execution cannot have."""
    held = plan.c.state == PlanState.HELD.value
    return or_(held, and_(plan.c.state == PlanState.APPROVED.value, plan.c.submission_id.is_(None)))


def _claim_pin() -> Any:  # noqa: ANN401 - an UPDATE
    following = (
        select(run.c.run_id)
        .where(
            run.c.state == RunState.DECIDING.value,
            run.c.pinned_time.is_(None),
            or_(run.c.pin_after_time.is_(None), run.c.pin_after_time <= _NOW),
        )
        .order_by(run.c.sequence)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("following")
    )
    return (
        update(run)
        .where(run.c.run_id == following.c.run_id)
        .values(pin_attempts=run.c.pin_attempts + 1, pin_after_time=_UNTIL)
        .returning(*RUN)
    )


def _claim_shard() -> Any:  # noqa: ANN401 - an UPDATE
    following = (
        select(run_shard.c.run_id, run_shard.c.number)
        .join(run, run.c.run_id == run_shard.c.run_id)
        .where(
            run.c.state == RunState.DECIDING.value,
            run.c.pinned_time.is_not(None),
            run_shard.c.done_time.is_(None),
            or_(run_shard.c.lease_time.is_(None), run_shard.c.lease_time <= _NOW),
        )
        .order_by(run.c.sequence, run_shard.c.number)
        .limit(1)
        .with_for_update(of=run_shard, skip_locked=True)
        .cte("following")
    )
    return (
        update(run_shard)
        .where(run_shard.c.run_id == following.c.run_id, run_shard.c.number == following.c.number)
        .values(attempt=run_shard.c.attempt + 1, lease_time=_UNTIL)
        .returning(run_shard.c.run_id, run_shard.c.number, run_shard.c.attempt)
    )


def _executed() -> Any:  # noqa: ANN401 - an UPDATE
    working = exists().where(plan.c.run_id == run.c.run_id, plan.c.state.in_(("APPROVED", "WORKING")))
    return (
        update(run)
        .where(run.c.state == RunState.EXECUTING.value, ~working)
        .values(state=RunState.DONE.value, end_time=_AT, note="")
        .returning(*RUN)
    )


def _expire() -> Any:  # noqa: ANN401 - an UPDATE
    old = (
        select(plan.c.plan_id)
        .where(held_back(), plan.c.expire_time <= _MARKET_TIME)
        .order_by(plan.c.expire_time)
        .limit(_LIMIT)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    return (
        update(plan)
        .where(plan.c.plan_id == old.c.plan_id)
        .values(state=PlanState.EXPIRED.value, update_time=_AT)
        .returning(*LISTED)
    )


def _claim_submission() -> Any:  # noqa: ANN401 - an UPDATE
    waiting = (
        select(submission.c.submission_id)
        .where(submission.c.acknowledge_time.is_(None), submission.c.next_time <= _NOW)
        .order_by(submission.c.next_time, submission.c.submission_id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("waiting")
    )
    return (
        update(submission)
        .where(submission.c.submission_id == waiting.c.submission_id)
        .values(attempts=submission.c.attempts + 1, next_time=_UNTIL)
        .returning(submission.c.submission_id, submission.c.run_id, submission.c.attempts)
    )


# Take the oldest run that is not pinned; now, until.
CLAIM_PIN = _claim_pin()
# Take the next shard of the oldest pinned run; now, until.
CLAIM_SHARD = _claim_shard()
# Move runs of which no plan is approved or worked any more to DONE; at.
EXECUTED = _executed()
# Expire plans that are too old and that execution cannot have; market_time, at, limit.
EXPIRE = _expire()
# Take a submission that is not acknowledged, and count the attempt; now, until.
CLAIM_SUBMISSION = _claim_submission()

_UNSENT = (
    plan.c.state == PlanState.APPROVED.value,
    plan.c.submission_id.is_(None),
    plan.c.expire_time > _MARKET_TIME,
)
# The oldest run with plans to be sent; market_time.
OLDEST_UNSENT = (
    select(run.c.run_id)
    .join(plan, plan.c.run_id == run.c.run_id)
    .where(run.c.state.in_(_SENDING_STATES), *_UNSENT)
    .order_by(run.c.sequence)
    .limit(1)
)
# Its plans; run_id, market_time, limit.
UNSENT = (
    select(*LISTED, plan.c.content)
    .where(plan.c.run_id == bindparam("run_id"), *_UNSENT)
    .order_by(plan.c.plan_id)
    .limit(_LIMIT)
    .with_for_update(skip_locked=True)
)

# A run; run_id.
ONE_RUN = select(*RUN).where(run.c.run_id == bindparam("run_id"))
# The same, that nobody else changes meanwhile.
ONE_RUN_LOCKED = ONE_RUN.with_for_update()
# The accounts of a shard with their policies, ascending; run_id, number.
SHARD_ACCOUNTS = (
    select(run_account.c.account_id, run_account.c.policy_hash, run_policy.c.version_hashes)
    .join(
        run_policy,
        and_(run_policy.c.run_id == run_account.c.run_id, run_policy.c.policy_hash == run_account.c.policy_hash),
        isouter=True,
    )
    .where(run_account.c.run_id == bindparam("run_id"), run_account.c.shard_number == bindparam("number"))
    .order_by(run_account.c.account_id)
)
