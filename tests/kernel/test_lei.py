"""Check digits of legal entity identifiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.lei import is_lei, with_check_digits

# Published by GLEIF: its own, and Apple's and Deutsche Bank's.
KNOWN = ("506700GE1G29325QX363", "HWUPKR0MPOU8FGXBT394", "7LTWFZYICNSX8D621K86")


@pytest.mark.parametrize("lei", KNOWN)
def test_published_identifiers_hold(lei):
    assert is_lei(lei)
    assert with_check_digits(lei[:18]) == lei


@given(st.text("ABCXYZ0189", min_size=18, max_size=18), st.integers(0, 17), st.data())
def test_one_other_character_of_its_kind_is_noticed(stem, at, data):
    lei = with_check_digits(stem)
    # A letter counts as two digits, so one in place of a digit moves all before it, and once in 97 times nobody sees.
    other = data.draw(st.sampled_from("0189" if stem[at].isdigit() else "ABCXYZ"))
    changed = lei[:at] + other + lei[at + 1 :]

    assert is_lei(changed) == (changed == lei)


@pytest.mark.parametrize("text", ["", "506700GE1G29325QX364", "506700ge1g29325qx363", "506700GE1G29325QX3630"])
def test_anything_else_is_none(text):
    assert not is_lei(text)


def test_a_stem_of_another_length_is_refused():
    with pytest.raises(ValueError, match="18"):
        with_check_digits("SHORT")
