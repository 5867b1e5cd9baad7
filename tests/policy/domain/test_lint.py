from decimal import Decimal

import pytest
from hypothesis import given

from services.kernel.money import Money
from services.policy.domain.document import (
    EMPTY,
    FIELDS,
    Bands,
    CostSettings,
    DataRequirements,
    Document,
    ExecutionPreferences,
    Guardrail,
    OrderKind,
    RestrictionKind,
    SafetyNets,
    TaxSettings,
    Triggers,
)
from services.policy.domain.errors import PolicyContradiction
from services.policy.domain.guardrails import with_guardrails
from services.policy.domain.lint import Severity, lint_merged, lint_own, raise_errors
from services.policy.domain.mixes import Targets, TargetWeight
from tests.policy.builders import DAY, NOON, a_group, bands, both, guarded, restricted, risk, targets
from tests.policy.strategies import documents


def own(document, *guarding):
    bounds = {}
    for place, each in enumerate(guarding):
        bounds = with_guardrails(bounds, each.guardrails, f"n{place}", f"v{place}")
    return [(f.rule, f.fields) for f in lint_own(document, bounds) if f.severity is Severity.ERROR]


def merged(document, severity=Severity.ERROR):
    return [(f.rule, f.fields) for f in lint_merged(document, NOON) if f.severity is severity]


def usd(amount):
    return Money(Decimal(amount), "USD")


def test_a_sound_document_has_no_findings():
    document = both(
        targets(cash="0.02", VTI="0.58", BND="0.4"),
        bands(trigger="0.05", destination="0.02"),
        risk(cash_floor="0.01", cash_ceiling="0.05", instrument_weight_limit="0.6"),
        Document(triggers=Triggers(drift=True), safety=SafetyNets(review_turnover=Decimal("0.2"))),
    )

    assert lint_own(document, {}) == ()
    assert lint_merged(document, NOON) == ()


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (risk(cash_floor="-0.01"), "risk.cash_floor"),
        (risk(cash_floor="1.01"), "risk.cash_floor"),
        (risk(cash_floor="NaN"), "risk.cash_floor"),
        (risk(instrument_weight_limit="Infinity"), "risk.instrument_weight_limit"),
        (FIELDS.document({"objective.horizon_years": Decimal(0)}), "objective.horizon_years"),
        (FIELDS.document({"triggers.calendar_days": 0}), "triggers.calendar_days"),
        (FIELDS.document({"triggers.calendar_days": 3661}), "triggers.calendar_days"),
        (Document(bands=Bands(minimum_trade=usd("-0.01"))), "bands.minimum_trade"),
        (targets(VTI="1.1"), "targets.weights"),
        (targets(VTI="-0.1"), "targets.weights"),
    ],
)
def test_a_number_outside_its_range_is_refused(document, path):
    assert own(document) == [("OUT_OF_RANGE", (path,))]


def test_ranges_include_their_edges():
    assert own(risk(cash_floor="0", cash_ceiling="1")) == []
    assert own(FIELDS.document({"triggers.calendar_days": 3660})) == []


def test_a_number_has_no_more_digits_than_anything_can_be_traded():
    assert own(risk(cash_floor="0.000000000001")) == []
    assert own(risk(cash_floor="0.0000000000001")) == [("TOO_PRECISE", ("risk.cash_floor",))]
    assert own(targets(VTI="0.0000000000001")) == [("TOO_PRECISE", ("targets.weights",))]


def test_an_instrument_id_has_a_format():
    assert own(targets(**{"BRK.B": "1"})) == []
    assert own(targets(**{"not an id": "1"})) == [("INSTRUMENT_FORMAT", ("targets.weights",))]
    assert own(restricted("")) == [("INSTRUMENT_FORMAT", ("restrictions.items",))]


def test_an_instrument_has_one_target_even_across_groups():
    lines = (TargetWeight(Decimal("0.5"), "VTI"), a_group("stocks", "0.5", VTI="1"))

    assert own(Document(targets=Targets(lines))) == [("TARGET_TWICE", ("targets.weights",))]


def test_weights_in_a_group_sum_to_one():
    found = lint_own(Document(targets=Targets((a_group("stocks", "1", VTI="0.5", VXUS="0.4"),))), {})

    assert [(f.rule, f.description) for f in found] == [
        ("GROUP_WEIGHTS_SUM", "the weights in 'stocks' must sum to 1, sum to 0.9")
    ]


def test_groups_have_unique_names_and_do_not_nest_without_end():
    twice = Document(targets=Targets((a_group("a", "0.5", X="1"), a_group("a", "0.5", Y="1"))))
    line = TargetWeight(Decimal(1), "VTI")
    for depth in range(9):
        line = TargetWeight(Decimal(1), group=type(a_group("g", 1).group)(f"g{depth}", (line,)))

    assert own(twice) == [("GROUP_TWICE", ("targets.weights",))]
    assert own(Document(targets=Targets((line,)))) == [("TARGETS_TOO_DEEP", ("targets.weights",))]


@pytest.mark.parametrize(
    ("guardrail", "rule"),
    [
        (Guardrail("no.such_field", locked=True), "GUARDRAIL_FIELD"),
        (Guardrail("guardrails", locked=True), "GUARDRAIL_FIELD"),
        (Guardrail("restrictions.items", locked=True), "GUARDRAIL_FIELD"),
        (Guardrail("risk.cash_floor"), "GUARDRAIL_EMPTY"),
        (Guardrail("tax.lot_method", minimum=Decimal(1)), "GUARDRAIL_KIND"),
        (Guardrail("triggers.drift", maximum=Decimal(1)), "GUARDRAIL_KIND"),
        (Guardrail("risk.cash_floor", minimum=Decimal(-1)), "GUARDRAIL_RANGE"),
        (Guardrail("risk.cash_floor", allowed=("low",)), "GUARDRAIL_KIND"),
        (Guardrail("risk.cash_floor", minimum=Decimal("0.2"), maximum=Decimal("0.1")), "GUARDRAIL_NOTHING_LEFT"),
    ],
)
def test_a_guardrail_bounds_a_field_that_can_be_bounded(guardrail, rule):
    assert own(Document(guardrails=(guardrail,))) == [(rule, (f"guardrails[{guardrail.field}]",))]


def test_guardrails_of_a_path_leave_something():
    above = guarded("risk.cash_floor", maximum="0.1")

    assert own(guarded("risk.cash_floor", minimum="0.1"), above) == []
    assert own(guarded("risk.cash_floor", minimum="0.11"), above) == [
        ("GUARDRAIL_NOTHING_LEFT", ("guardrails[risk.cash_floor]",))
    ]
    assert own(guarded("tax.jurisdiction", allowed=["US"]), guarded("tax.jurisdiction", allowed=["DE"])) == [
        ("GUARDRAIL_NOTHING_LEFT", ("guardrails[tax.jurisdiction]",))
    ]


def test_target_weights_and_cash_sum_to_exactly_one():
    assert merged(targets(VTI="0.6", BND="0.4")) == []
    assert merged(targets(cash="0.1", VTI="0.5", BND="0.4")) == []
    assert merged(targets(VTI="0.6", BND="0.39999")) == [("WEIGHTS_SUM", ("targets.weights",))]
    assert merged(targets(cash="0.1", VTI="1")) == [("WEIGHTS_SUM", ("targets.weights", "targets.cash_weight"))]


def test_many_small_weights_are_summed_exactly():
    third = "0.333333333333"

    assert merged(targets(A=third, B=third, C="0.333333333334")) == []
    assert merged(targets(A=third, B=third, C=third)) == [("WEIGHTS_SUM", ("targets.weights",))]


def test_the_destination_is_within_the_trigger():
    assert merged(bands(trigger="0.05", destination="0.05")) == []
    assert merged(bands(trigger="0.05", destination="0.06")) == [
        ("DESTINATION_OUTSIDE_TRIGGER", ("bands.trigger.absolute", "bands.destination.absolute"))
    ]


def test_unlike_distances_are_compared_at_the_targets():
    unlike = bands(relative_trigger="0.2", destination="0.01")

    assert merged(unlike) == []
    assert merged(both(unlike, targets(VTI="0.9", BND="0.1"))) == []
    assert merged(both(unlike, targets(VTI="0.96", GLD="0.04"))) == [
        ("DESTINATION_OUTSIDE_TRIGGER", ("targets.weights", "bands.trigger.relative", "bands.destination.absolute"))
    ]


def test_cash_fits_between_floor_and_ceiling():
    assert merged(risk(cash_floor="0.05", cash_ceiling="0.05")) == []
    assert merged(risk(cash_floor="0.06", cash_ceiling="0.05")) == [
        ("CASH_FLOOR_ABOVE_CEILING", ("risk.cash_floor", "risk.cash_ceiling"))
    ]
    assert merged(both(targets(cash="0.02", VTI="0.98"), risk(cash_floor="0.03"))) == [
        ("CASH_TARGET_BELOW_FLOOR", ("targets.cash_weight", "risk.cash_floor"))
    ]
    # Without a mix, cash has no target; the field that is missing is named last.
    assert merged(both(targets(VTI="1"), risk(cash_floor="0.03"))) == [
        ("CASH_TARGET_BELOW_FLOOR", ("targets.weights", "risk.cash_floor", "targets.cash_weight"))
    ]


def test_a_target_fits_the_limit_of_one_instrument():
    assert merged(both(targets(VTI="0.6", BND="0.4"), risk(instrument_weight_limit="0.6"))) == []
    assert merged(both(targets(VTI="0.6", BND="0.4"), risk(instrument_weight_limit="0.5"))) == [
        ("TARGET_ABOVE_LIMIT", ("targets.weights", "risk.instrument_weight_limit"))
    ]


def test_nothing_is_wanted_that_is_excluded():
    wanted = targets(GME="1")

    assert merged(both(wanted, restricted("GME"))) == [("TARGET_EXCLUDED", ("targets.weights", "restrictions.items"))]
    assert merged(both(wanted, restricted("GME", until=NOON))) == []
    assert merged(both(wanted, restricted("GME", until=NOON + DAY))) != []
    assert merged(both(wanted, restricted("GME", RestrictionKind.NO_SELL)), Severity.WARNING) == []
    assert merged(both(wanted, restricted("GME", RestrictionKind.NO_BUY)), Severity.WARNING) == [
        ("TARGET_NOT_BUYABLE", ("targets.weights", "restrictions.items"))
    ]


def test_what_must_be_sold_may_be_sold():
    items = (*restricted("GME").restrictions.items, *restricted("GME", RestrictionKind.NO_SELL).restrictions.items)

    assert merged(FIELDS.document({"restrictions.items": items})) == [
        ("RESTRICTIONS_CONTRADICT", ("restrictions.items",))
    ]


def test_all_amounts_are_in_one_currency():
    euros = Document(bands=Bands(minimum_trade=Money(Decimal(5), "EUR")), cost=CostSettings(commission=usd(1)))

    assert merged(euros) == [("CURRENCIES_DIFFER", ("bands.minimum_trade", "cost.commission"))]


def test_a_limit_order_needs_its_distance():
    limit = Document(execution=ExecutionPreferences(order_kind=OrderKind.LIMIT))

    assert merged(limit) == [("LIMIT_DISTANCE_MISSING", ("execution.order_kind", "execution.limit_distance_bps"))]
    assert merged(both(limit, FIELDS.document({"execution.limit_distance_bps": Decimal(5)}))) == []


def test_the_smallest_trade_fits_the_day():
    document = Document(bands=Bands(minimum_trade=usd(101)), safety=SafetyNets(daily_value_limit=usd(100)))

    assert merged(document) == [
        ("MINIMUM_TRADE_ABOVE_DAILY_LIMIT", ("bands.minimum_trade", "safety.daily_value_limit"))
    ]


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (Document(triggers=Triggers(drift=False)), "NOTHING_TRIGGERS"),
        (Document(safety=SafetyNets(daily_orders_limit=0)), "NO_ORDERS_ALLOWED"),
        (Document(cost=CostSettings(turnover_limit=Decimal(0))), "NO_TURNOVER_ALLOWED"),
        (
            FIELDS.document({"safety.review_turnover": Decimal(1), "cost.turnover_limit": Decimal("0.5")}),
            "REVIEW_NEVER_HAPPENS",
        ),
        (
            Document(tax=TaxSettings(short_term_rate=Decimal("0.2"), long_term_rate=Decimal("0.3"))),
            "LONG_RATE_ABOVE_SHORT",
        ),
        (Document(data=DataRequirements(price_age_max_s=60, plan_life_s=61)), "PLAN_OUTLIVES_PRICES"),
    ],
)
def test_what_is_odd_is_allowed_with_a_warning(document, rule):
    assert merged(document) == []
    assert [r for r, _ in merged(document, Severity.WARNING)] == [rule]


def test_errors_are_refused_field_by_field_with_value_and_limit():
    findings = lint_merged(bands(trigger="0.05", destination="0.06"), NOON)

    with pytest.raises(PolicyContradiction) as caught:
        raise_errors(findings)
    assert [v.field for v in caught.value.violations] == [
        "document.bands.trigger.absolute",
        "document.bands.destination.absolute",
    ]
    assert "was 0.06 and 0.05 [DESTINATION_OUTSIDE_TRIGGER]" in caught.value.violations[0].description
    raise_errors(lint_merged(EMPTY, NOON))


@given(documents())
def test_findings_name_fields_that_exist(document):
    for finding in (*lint_own(document, {}), *lint_merged(document, NOON)):
        assert finding.fields
        for path in finding.fields:
            assert FIELDS.get(path) is not None or path.startswith("guardrails[")


def test_a_mix_of_more_names_than_may_be_held_or_smaller_ones_is_warned_about():
    mix = both(
        targets(VTI="0.6", BND="0.3", GLD="0.1"),
        FIELDS.document(
            {"risk.names_limit": 2, "bands.minimum_position": usd(500), "targets.account_minimum": usd(4000)}
        ),
    )

    found = {(f.rule, f.description) for f in lint_merged(mix, NOON) if f.severity is Severity.WARNING}
    assert found >= {
        ("MORE_TARGETS_THAN_NAMES", "the mix has 3 instruments, and at most 2 may be held"),
        (
            "TARGET_BELOW_MINIMUM_POSITION",
            "in an account of 4000 USD the target of GLD is worth 400, less than the 500 that a position must be",
        ),
    }
    enough = both(mix, FIELDS.document({"risk.names_limit": 3, "bands.minimum_position": usd(400)}))
    assert {"MORE_TARGETS_THAN_NAMES", "TARGET_BELOW_MINIMUM_POSITION"}.isdisjoint(
        rule for rule, _ in merged(enough, Severity.WARNING)
    )


@pytest.mark.parametrize("names", [0, 10_001])
def test_a_limit_on_names_has_its_range(names):
    assert [fields for _, fields in own(FIELDS.document({"risk.names_limit": names}))] == [("risk.names_limit",)]
