"""Public names of instruments are checked by their own rules."""

import pytest

from services.decision.domain.identification import Identification, isin_check_digit

# ISO 6166 numbers of well-known shares, and the standard's own example (annex A): ISO 6166:2021, US0378331005.
KNOWN = ("US0378331005", "US5949181045", "US9229087690", "GB0002634946", "DE0007164600", "AU0000XVGZA3")


@pytest.mark.parametrize("isin", KNOWN)
def test_the_check_digit_is_the_one_that_numbering_agencies_print(isin):
    assert isin_check_digit(isin[:-1]) == isin[-1]
    assert Identification(isin=isin)


@pytest.mark.parametrize(
    "said",
    [
        {"isin": "US0378331006"},
        {"isin": "US037833100"},
        {"isin": "us0378331005"},
        {"cfi": "ESVUF"},
        {"full_name": "x" * 351},
    ],
)
def test_what_cannot_be_a_public_name_is_refused_by_its_field(said):
    with pytest.raises(ValueError, match=next(iter(said))):
        Identification(**said)


def test_nothing_said_is_nothing():
    assert not Identification()
