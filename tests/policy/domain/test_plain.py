from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.domain.corridors import DISTANCE_STEP, corridors
from services.policy.domain.document import (
    EMPTY,
    FIELDS,
    Bands,
    Document,
    Pause,
    Restriction,
    RestrictionKind,
    SafetyNets,
)
from services.policy.domain.eligibility import BuyList, Screen
from services.policy.domain.merge import NOTHING, effective
from services.policy.domain.mixes import (
    Combine,
    Distance,
    TargetGroup,
    Targets,
    TargetWeight,
    cash_target,
    instrument_weights,
)
from services.policy.domain.plain import NoMix, expanded, in_plain_words
from tests.policy.builders import DAY, NOON, a_layer, both, restricted, targets
from tests.policy.strategies import documents

HALF = Decimal("0.5")


def plain(document, models=None, *, at=NOON, missing=()):
    applied = {name: effective([a_layer(name, each)]) for name, each in (models or {}).items()}
    return in_plain_words(effective([a_layer("account", document)]), at, applied.get, missing)


def mix(document):
    return {str(each): weight for each, weight in instrument_weights(document.targets.weights)}


def of_model(weight, name):
    return TargetWeight(Decimal(weight), model_node_id=name)


def blend(*lines, cash=None):
    return Document(targets=Targets(tuple(lines), None if cash is None else Decimal(cash)))


def shares(draw, count):
    """Draw `count` weights that sum to exactly 1."""
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=count - 1, max_size=count - 1)))
    return [Decimal(b - a) / 100 for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]


@st.composite
def trees(draw, depth=5, name="m"):
    """Draw a mix of instruments, groups and models nested up to `depth`, with the models that it refers to.

    Besides, what it comes to by fractions of integers, and what is left in cash.
    """
    count = draw(st.integers(1, 3))
    weights = shares(draw, count + 1)
    lines, models, exact, cash = [], {}, {}, Fraction(weights[-1])
    for place, weight in enumerate(weights[:-1]):
        kind = draw(st.sampled_from(["instrument", "group", "model"])) if depth > 1 else "instrument"
        if kind == "instrument":
            instrument = draw(st.sampled_from(["AAA", "BBB", "CCC", "DDD"]))
            lines.append(TargetWeight(weight, instrument))
            exact[instrument] = exact.get(instrument, 0) + Fraction(weight)
            continue
        inner, inner_models, inner_exact, inner_cash = draw(trees(depth - 1, f"{name}{place}"))
        models |= inner_models
        if kind == "model":
            models[f"{name}{place}"] = inner
            lines.append(TargetWeight(weight, model_node_id=f"{name}{place}"))
        else:
            group = TargetGroup(f"{name}{place}", inner.targets.weights, inner.targets.cash_weight)
            lines.append(TargetWeight(weight, group=group))
        cash += Fraction(weight) * inner_cash
        for instrument, share in inner_exact.items():
            exact[instrument] = exact.get(instrument, 0) + Fraction(weight) * share
    return blend(*lines, cash=weights[-1]), models, exact, cash


@given(trees())
def test_models_of_models_come_to_exactly_what_fractions_say(tree):
    document, models, exact, cash = tree

    found = plain(document, models).document

    assert found.targets.problem is None
    totals = {}
    for instrument, weight in instrument_weights(found.targets.weights):
        totals[instrument] = totals.get(instrument, 0) + Fraction(weight)
    assert totals == exact
    assert Fraction(cash_target(found.targets)) == cash
    assert sum(totals.values()) + cash == 1


@st.composite
def banded(draw, depth=4, name="g"):
    """Draw lines of which any may say a distance of its own, nested up to `depth`."""
    lines = []
    for place in range(draw(st.integers(1, 3))):
        distance = draw(st.just(Distance()) | st.integers(0, 40).map(lambda n: Distance(Decimal(n) / 200)))
        weight = Decimal(draw(st.integers(1, 20))) / 20
        if depth > 1 and draw(st.booleans()):
            group = TargetGroup(f"{name}{place}", draw(banded(depth - 1, f"{name}{place}")))
            lines.append(TargetWeight(weight, group=group, trigger=distance))
        else:
            instrument = draw(st.sampled_from([f"I{number}" for number in range(6)]))
            lines.append(TargetWeight(weight, instrument, trigger=distance))
    return tuple(lines)


def groups(lines, of=Decimal(1)):
    for line in lines:
        if line.group is not None:
            yield line, of * line.weight
            yield from groups(line.group.members, of * line.weight)


@given(banded(), st.integers(0, 40).map(lambda n: Decimal(n) / 100))
def test_whenever_each_instrument_is_within_its_distance_so_is_every_group(lines, general):
    """Deviations of one sign add up, so the worst that instruments can do together is the sum of their distances."""
    bands = Bands(trigger=Distance(general))

    found = {each: pair[0].at(Decimal(0)) for each, pair in corridors(lines, bands).items()}

    if not found:
        assert all(line.trigger == Distance() for line, _ in groups(lines))
        return
    for line, weight in groups(lines):
        bound = line.trigger.at(weight)
        if bound is not None:
            inside = {each for each, _ in instrument_weights(line.group.members)}
            assert sum(found[each] for each in inside) <= bound


def test_distances_are_narrowed_in_proportion_and_no_more_than_needed():
    members = (TargetWeight(HALF, "A", trigger=Distance(Decimal("0.03"))), TargetWeight(HALF, "B"))
    line = TargetWeight(Decimal(1), group=TargetGroup("g", members), trigger=Distance(Decimal("0.04")))

    found = corridors((line,), Bands(trigger=Distance(Decimal("0.05"))))

    assert {each: pair[0].absolute for each, pair in found.items()} == {"A": Decimal("0.015"), "B": Decimal("0.025")}
    wide = TargetWeight(Decimal(1), group=line.group, trigger=Distance(Decimal("0.09")))
    assert corridors((wide,), Bands(trigger=Distance(Decimal("0.05"))))["A"][0].absolute == Decimal("0.03")
    assert Decimal("1e-12") == DISTANCE_STEP


def test_a_document_that_is_plain_already_stays_as_it_is():
    merged = effective([a_layer("account", targets(cash="0.1", VTI="0.9"))])

    assert in_plain_words(merged, NOON, lambda _: None).document is merged.document


@given(documents())
def test_any_document_comes_to_something(document):
    found = plain(document).document

    assert all(line.model_node_id is None for line in found.targets.weights)
    assert all(each.screen is None for each in found.restrictions.items) or found.safety.paused


def test_the_versions_that_say_a_models_mix_are_named():
    found = plain(blend(of_model("0.6", "growth"), of_model("0.4", "income")), {
        "growth": targets(VTI="1"), "income": targets(cash="0.1", BND="0.9"),
    })  # fmt: skip

    assert mix(found.document) == {"BND": Decimal("0.36"), "VTI": Decimal("0.6")}
    assert found.document.targets.cash_weight == Decimal("0.04")
    assert [layer.node_id for layer in found.references] == ["growth", "income"]
    assert [layer.node_id for layer in found.sources["targets.weights"]] == ["account", "growth", "income"]


@pytest.mark.parametrize(
    ("models", "rule", "words"),
    [
        ({}, "MODEL_UNKNOWN", "no policy node is named m"),
        ({"m": EMPTY}, "MODEL_WITHOUT_MIX", "m cannot be a target: no mix applies to it"),
        ({"m": targets(VTI="0.9")}, "MODEL_WITHOUT_MIX", "m cannot be a target: its weights and cash sum to 0.9"),
        (
            {"m": blend(of_model("1", "n")), "n": blend(of_model("1", "m"))},
            "MODEL_CYCLE",
            "models may not stand for themselves: m → n → m",
        ),
        ({"m": blend(of_model("1", "m"))}, "MODEL_CYCLE", "m → m"),
    ],
)
def test_a_mix_that_cannot_be_worked_out_leaves_no_mix_and_a_pause(models, rule, words):
    document = blend(of_model("1", "m"))
    applied = {name: effective([a_layer(name, each)]) for name, each in models.items()}

    with pytest.raises(NoMix, match=words) as caught:
        expanded(document.targets.weights, applied.get)
    assert caught.value.rule == rule
    found = plain(document, models)
    assert found.document.targets.weights == ()
    assert words in found.document.targets.problem
    assert found.document.safety.paused is True
    assert [layer.node_id for layer in found.sources["safety.paused"]] == ["account"]


def test_models_nest_deep_but_not_without_end():
    models = {f"m{n}": blend(of_model("1", f"m{n + 1}")) for n in range(20)} | {"m20": targets(VTI="1")}

    assert mix(plain(blend(of_model("1", "m6")), models).document) == {"VTI": Decimal(1)}
    assert plain(blend(of_model("1", "m5")), models).document.targets.problem is not None


def with_substitutes(*names):
    return blend(TargetWeight(HALF, "VOO", substitutes=names), TargetWeight(HALF, "BND"))


@pytest.mark.parametrize(
    ("rules", "held"),
    [
        ([], "VOO"),
        ([restricted("VOO")], "IVV"),
        ([restricted("VOO", RestrictionKind.NO_BUY)], "IVV"),
        ([restricted("VOO", RestrictionKind.NO_SELL)], "VOO"),
        # What may neither be bought nor sold stays where it is.
        ([restricted("VOO", RestrictionKind.NO_TRADE)], "VOO"),
        ([restricted("VOO", until=NOON)], "VOO"),
        ([restricted("VOO"), restricted("IVV")], "SPLG"),
    ],
)
def test_what_may_not_be_bought_gives_way_to_the_best_that_may(rules, held):
    items = tuple(item for each in rules for item in each.restrictions.items)
    document = both(with_substitutes("IVV", "SPLG"), FIELDS.document({"restrictions.items": items}))

    assert set(mix(plain(document).document)) == {"BND", held}


def test_without_a_substitute_that_may_be_bought_the_target_stays_and_says_why():
    lists = FIELDS.document(
        {
            "eligibility.residence": "DE",
            "eligibility.buy_lists": (BuyList("PRIIPs", residence="DE", instrument_ids=("BND",)),),
        }
    )

    found = plain(both(with_substitutes("IVV"), lists)).document

    assert set(mix(found)) == {"BND", "VOO"}
    (barred,) = found.restrictions.items
    assert (barred.instrument_id, barred.kind) == ("VOO", RestrictionKind.NO_BUY)
    assert barred.reason == "not on the buy list 'PRIIPs'"
    assert found.eligibility.buy_lists == ()


@pytest.mark.parametrize(
    ("residence", "wrapper", "at", "held"),
    [
        ("DE", None, NOON, "EUNL"),
        ("US", None, NOON, "VOO"),
        (None, None, NOON, "VOO"),
        ("DE", None, NOON - DAY, "VOO"),
        ("DE", None, NOON + DAY, "VOO"),
        ("US", "PENSION", NOON, "EUNL"),
    ],
)
def test_buy_lists_are_for_a_residence_a_wrapper_and_a_time(residence, wrapper, at, held):
    lists = (
        BuyList("PRIIPs", "DE", None, ("BND", "EUNL"), NOON, NOON + DAY),
        BuyList("pension", None, "PENSION", ("BND", "EUNL")),
    )
    said = {"eligibility.buy_lists": lists, "eligibility.residence": residence, "eligibility.wrapper": wrapper}
    rules = FIELDS.document({path: value for path, value in said.items() if value is not None})

    assert set(mix(plain(both(with_substitutes("EUNL"), rules), at=at).document)) == {"BND", held}


def test_every_buy_list_that_is_for_an_account_must_name_what_it_buys():
    lists = (BuyList("house", instrument_ids=("BND", "VOO")), BuyList("PRIIPs", instrument_ids=("BND",)))
    document = both(with_substitutes(), FIELDS.document({"eligibility.buy_lists": lists}))

    assert [each.instrument_id for each in plain(document).document.restrictions.items] == ["VOO"]


def test_a_screen_stands_for_its_instruments_of_all_nodes():
    rule = Restriction(screen="tobacco", kind=RestrictionKind.EXCLUDED, reason="faith")
    screens = (Screen("tobacco", ("MO",)), Screen("tobacco", ("PM", "MO")), Screen("arms", ("LMT",)))
    document = FIELDS.document({"restrictions.items": (rule,), "eligibility.screens": screens})

    found = plain(document).document

    assert [each.instrument_id for each in found.restrictions.items] == ["MO", "PM"]
    assert {each.reason for each in found.restrictions.items} == {"faith"}
    assert found.eligibility.screens == ()
    unknown = plain(FIELDS.document({"restrictions.items": (rule,)})).document
    assert unknown.safety.paused is True
    assert "no screen is named 'tobacco'" in unknown.targets.problem


def test_a_pause_holds_from_its_start_to_its_end():
    document = Document(safety=SafetyNets(pauses=(Pause(NOON, NOON + DAY, "migration"),)))

    paused = [plain(document, at=at).document.safety.paused for at in (NOON - DAY, NOON, NOON + DAY)]
    assert paused == [None, True, None]


def test_a_consent_that_is_missing_is_said():
    document = FIELDS.document({"client.required_consents": ("mandate",)})

    found = plain(document, missing=("mandate",))

    assert found.document.client.missing_consents == ("mandate",)
    assert [layer.node_id for layer in found.sources["client.missing_consents"]] == ["account"]


def test_nothing_comes_to_nothing():
    assert in_plain_words(NOTHING, NOON, lambda _: None).document == EMPTY


@pytest.mark.parametrize(("target", "distance"), [("0.6", "0.05"), ("0.2", "0.05"), ("0.1", "0.025"), ("0", "0")])
def test_the_smaller_of_two_distances_counts_where_the_rule_says_so(target, distance):
    rule = Distance(Decimal("0.05"), Decimal("0.25"), Combine.SMALLER)

    assert rule.at(Decimal(target)) == Decimal(distance)


def test_a_mix_of_which_everything_is_excluded_is_held_and_not_sold():
    all_of_it = both(targets(VTI="1"), restricted("VTI"))
    some_of_it = both(targets(VTI="0.5", BND="0.5"), restricted("VTI"))

    held = plain(all_of_it).document

    assert (held.targets.weights, held.safety.paused) == ((), True)
    assert held.targets.problem == "everything in the target mix is excluded"
    assert plain(some_of_it).document.targets.problem is None
    assert plain(both(targets(VTI="1"), restricted("VTI", until=NOON))).document.targets.problem is None
