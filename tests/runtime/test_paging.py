"""Page tokens lead on, and only where they came from."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.audit.v1.audit_service_pb2 import EntryFilter, ListEntriesRequest
from evenkeel.policy.v1.policy_service_pb2 import ListNodesRequest
from services.runtime.paging import PageTokenInvalid, cut, read_page

FILTER = EntryFilter(actor="ann")


def page_of(token="", size=0, **more):
    return read_page(ListEntriesRequest(page_token=token, page_size=size, **more), default=100, most=1000)


def walk(rows, size):
    """Read a whole list page by page, as a client does."""
    seen, token = [], ""
    while True:
        page = page_of(token, size)
        left = [row for row in rows if page.after is None or row > page.after]
        shown, token = cut(left[: page.size + 1], page, lambda row: row)
        assert len(shown) <= size
        seen.extend(shown)
        if not token:
            return seen


@given(st.sets(st.tuples(st.integers(0, 50), st.text(max_size=3))), st.integers(1, 7))
def test_all_pages_together_are_the_list(rows, size):
    rows = sorted(rows)

    assert walk(rows, size) == rows


def test_the_size_has_a_default_and_a_limit():
    assert page_of().size == 100
    assert page_of(size=7).size == 7
    assert page_of(size=2000).size == 1000


def test_a_token_is_of_one_filter_and_one_list():
    token = page_of(filter=FILTER).token((5,))

    assert page_of(token, filter=FILTER).after == (5,)
    assert page_of(token, size=3, filter=FILTER).after == (5,)
    with pytest.raises(PageTokenInvalid):
        page_of(token, filter=EntryFilter(actor="bob"))
    with pytest.raises(PageTokenInvalid):
        read_page(ListNodesRequest(page_token=token), default=1, most=1)


@given(st.text(max_size=40))
def test_any_other_text_is_refused(text):
    if text:
        with pytest.raises(PageTokenInvalid, match="page_token: must be a token"):
            page_of(text)


@pytest.mark.parametrize("position", [b"", b"{}", b"[1.5]", b"[null]", b"[[1]]", b"5"])
def test_a_token_with_another_content_is_refused(position):
    page = page_of()
    token = urlsafe_b64encode(b"\x01" + page.binding + position).decode().rstrip("=")

    with pytest.raises(PageTokenInvalid):
        page_of(token)
