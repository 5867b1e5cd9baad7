"""A reason that the contracts, the code or the documentation lacks is found."""

from tools.checks import reasons

DOC = "| `PLAN_EXPIRED` | Ask for a new plan. |"
RAISED = {"PLAN_EXPIRED": "x.PlanExpired"}


def test_agreeing_reasons_have_no_findings():
    assert reasons.disagreements({"PLAN_EXPIRED"}, RAISED, set(), DOC) == []


def test_a_reason_that_is_told_as_data_is_used():
    assert reasons.disagreements({"PLAN_EXPIRED"}, {}, {"PLAN_EXPIRED"}, DOC) == []


def test_a_reason_that_only_the_code_knows_is_found():
    found = reasons.disagreements(set(), RAISED, set(), DOC)

    assert found == ["x.PlanExpired has the reason PLAN_EXPIRED: add ERROR_REASON_PLAN_EXPIRED to error_reason.proto"]


def test_a_reason_that_only_the_contracts_know_is_found():
    found = reasons.disagreements({"PLAN_EXPIRED"}, {}, set(), DOC)

    assert found == ["ERROR_REASON_PLAN_EXPIRED is no error's reason: raise it somewhere, or reserve its number"]


def test_a_reason_that_nobody_explains_is_found():
    found = reasons.disagreements({"PLAN_EXPIRED"}, RAISED, set(), "")

    assert found == ["docs/errors.md does not say what to do about PLAN_EXPIRED"]


def test_the_contracts_promise_no_unspecified_reason():
    assert "FIELD_INVALID" in reasons.promised()
    assert "UNSPECIFIED" not in reasons.promised()


def test_the_code_names_reasons_as_texts():
    assert reasons.named({"METHOD_UNKNOWN", "NOBODY_SAYS_THIS"}) == {"METHOD_UNKNOWN"}
