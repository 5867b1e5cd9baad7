"""Derived ids name the same thing each time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import derived_id

parts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4)


@given(parts, parts)
def test_ids_are_equal_exactly_when_their_parts_are(one, other):
    assert (derived_id("plan", *one) == derived_id("plan", *other)) == (one == other)


def test_a_derived_id_is_a_prefix_and_32_digits_and_never_changes():
    assert derived_id("plan", "run-1", "acc-1") == "plan-7f522aa8c48840701cd17b5bcd312e7f"


def test_a_derived_id_needs_something_to_derive_from():
    with pytest.raises(ValueError, match="at least one part"):
        derived_id("plan")
    with pytest.raises(ValueError, match="prefix"):
        derived_id("", "a")
