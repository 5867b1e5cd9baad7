"""A reason that only the contracts or only the code knows is found."""

from tools.checks import reasons


def test_agreeing_reasons_have_no_findings():
    assert reasons.disagreements({"PLAN_EXPIRED"}, {"PLAN_EXPIRED": "x.PlanExpired"}) == []


def test_a_reason_that_only_the_code_knows_is_found():
    found = reasons.disagreements(set(), {"PLAN_EXPIRED": "x.PlanExpired"})

    assert found == ["x.PlanExpired has the reason PLAN_EXPIRED: add ERROR_REASON_PLAN_EXPIRED to error_reason.proto"]


def test_a_reason_that_only_the_contracts_know_is_found():
    found = reasons.disagreements({"PLAN_EXPIRED"}, {})

    assert found == ["ERROR_REASON_PLAN_EXPIRED is no error's reason: raise it somewhere, or reserve its number"]


def test_the_contracts_promise_no_unspecified_reason():
    assert "FIELD_INVALID" in reasons.promised()
    assert "UNSPECIFIED" not in reasons.promised()
