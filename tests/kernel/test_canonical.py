"""Canonical JSON: one value, one text."""

import json
import random
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.canonical import SAFE_INTEGER_MAX, canonical_json, canonical_texts, content_hash

TOKYO = timezone(timedelta(hours=9))

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX) | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=25,
)


def rfc_8785(value) -> str:
    """Write the rules of RFC 8785 section 3.2 out literally, for values without fractions."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            short = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
            return '"' + "".join(short.get(ord(c)) or (f"\\u{ord(c):04x}" if ord(c) < 32 else c) for c in value) + '"'
        case list():
            return "[" + ",".join(rfc_8785(each) for each in value) + "]"
        case dict():

            def units(key):
                data = key.encode("utf-16-le")
                return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]

            return "{" + ",".join(f"{rfc_8785(k)}:{rfc_8785(value[k])}" for k in sorted(value, key=units)) + "}"


@given(values)
def test_the_text_is_what_rfc_8785_says(value):
    assert canonical_json(value).decode() == rfc_8785(value)


@given(values)
def test_the_text_reads_back_as_the_value(value):
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(texts, values), st.randoms())
def test_the_order_of_keys_does_not_matter(value, chance: random.Random):
    keys = list(value)
    chance.shuffle(keys)

    assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)


def test_the_sorting_example_of_the_rfc():
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]

    assert list(json.loads(canonical_json(dict.fromkeys(keys)))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("12.50"), b'"12.5"'),
        (Decimal("-0.0"), b'"0"'),
        (datetime(2026, 3, 5, 21, microsecond=120000, tzinfo=TOKYO), b'"2026-03-05T12:00:00.120000Z"'),
        (datetime(2026, 3, 5, 12, tzinfo=UTC), b'"2026-03-05T12:00:00Z"'),
        (date(2026, 3, 5), b'"2026-03-05"'),
    ],
)
def test_numbers_and_instants_are_text(value, text):
    assert canonical_json(value) == text


@pytest.mark.parametrize("value", [1.5, {"a": [0.0]}, b"bytes", {1: "a"}, {"a": {1, 2}}, object()])
def test_what_has_no_canonical_text_is_refused(value):
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize(
    "value",
    [SAFE_INTEGER_MAX + 1, -SAFE_INTEGER_MAX - 1, Decimal("NaN"), datetime(2026, 3, 5), "\ud800", {"\ud800": 1}],
)
def test_what_would_be_read_differently_elsewhere_is_refused(value):
    with pytest.raises(ValueError, match=r"integer|finite|time zone|surrogates"):
        canonical_json([value])


rows = st.lists(
    st.fixed_dictionaries({"a": values, "%s b": texts, "ä": st.decimals(-1_000, 1_000, places=3)})
    | st.fixed_dictionaries({"ä": texts, "a": values})
    | st.dictionaries(texts, values, max_size=3)
)


@given(rows, st.lists(st.integers(1, 3), min_size=40, max_size=40))
def test_objects_that_are_written_together_have_the_texts_of_each(objects, times):
    many = [each for each, count in zip(objects, times, strict=False) for _ in range(count)]

    assert canonical_texts(many) == [canonical_json(each).decode() for each in many]


@pytest.mark.parametrize(
    "value",
    [
        [[1, "a"], [2, "b"], [Decimal("1.50"), None]],
        [[], []],
        [[[1], [2]], [[3], [4]]],
        [[1], [2, 3]],
        [[1], (2,)],
        [{"b": [{"d": 1, "c": 2}, {"d": 3, "c": 4}], "a": 0}, {"b": [], "a": 1}],
        [{"a": 1, "b": 2}, {"b": 1, "a": 2}, [1]],
    ],
)
def test_lists_of_what_looks_alike_are_written_as_they_are(value):
    def told(part):
        match part:
            case Decimal():
                return "1.5"
            case list() | tuple():
                return [told(each) for each in part]
            case dict():
                return {key: told(each) for key, each in part.items()}
        return part

    assert canonical_json(value).decode() == rfc_8785(told(value))


@pytest.mark.parametrize("value", [1.5, b"bytes", {1: "a"}, SAFE_INTEGER_MAX + 1, Decimal("NaN"), "\ud800"])
def test_what_has_no_canonical_text_is_refused_among_many(value):
    for many in ([{"a": 1, "b": value}] * 2, [{"a": 1, "b": 2}, {"a": 1, "b": value}]):
        with pytest.raises((TypeError, ValueError)):
            canonical_texts(many)


@pytest.mark.parametrize("keys", [(1, 2), ("\ud800", "a")])
def test_keys_that_are_no_texts_are_refused_among_many(keys):
    with pytest.raises((TypeError, ValueError)):
        canonical_texts([dict.fromkeys(keys)] * 2)


def test_content_is_named_by_its_hash():
    assert content_hash(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
