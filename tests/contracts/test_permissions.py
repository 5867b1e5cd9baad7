"""Who may call what: the contracts' permissions against the roles that carry them."""

from itertools import combinations

import pytest

from services.runtime.auth.roles import PERMISSIONS_BY_ROLE, permissions_of
from tests.support.contracts import METHODS, permission

WORKLOADS = {"policy_service", "decision_service", "execution_service", "audit_service"}

# Two permissions that no role may hold together, and why.
APART = (
    ("policy.change", "policy.approve", "nobody approves what they may write"),
    ("decision.run", "decision.plan.approve", "nobody approves the plans of a run they may start"),
    ("decision.plan.approve", "execution.submit", "nobody who approves plans can send them"),
    ("audit.append", "audit.read", "a producer does not read the record"),
    ("audit.records.propose", "audit.records.decide", "nobody decides what they may propose about the record"),
)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_somebody_may_call_each_method_and_somebody_may_not(method):
    holders = {role for role, permissions in PERMISSIONS_BY_ROLE.items() if permission(method) in permissions}

    assert holders
    assert holders != set(PERMISSIONS_BY_ROLE)


def test_roles_carry_no_permission_that_no_method_asks_for():
    asked = {permission(method) for method in METHODS}

    assert permissions_of(PERMISSIONS_BY_ROLE) <= asked


@pytest.mark.parametrize(("one", "other", "why"), APART)
def test_no_role_holds_both(one, other, why):
    assert [role for role, held in PERMISSIONS_BY_ROLE.items() if one in held and other in held] == [], why


def test_only_services_append_to_the_log_and_only_decision_submits():
    assert {role for role, held in PERMISSIONS_BY_ROLE.items() if "audit.append" in held} <= WORKLOADS
    assert {role for role, held in PERMISSIONS_BY_ROLE.items() if "execution.submit" in held} == {"decision_service"}


def test_who_stops_trading_needs_another_role_to_resume_it_but_for_the_risk_officer_whose_subject_is_checked():
    both = {role for role, held in PERMISSIONS_BY_ROLE.items() if {"execution.halt", "execution.resume"} <= held}

    assert both == {"risk_officer"}


def test_no_two_roles_together_hold_everything():
    everything = permissions_of(PERMISSIONS_BY_ROLE)

    assert all(permissions_of(pair) != everything for pair in combinations(PERMISSIONS_BY_ROLE, 2))
