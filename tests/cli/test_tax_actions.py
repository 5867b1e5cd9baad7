"""What `evenkeel tax compare` shows of giving and withdrawing."""

from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tools.cli.context import out
from tools.cli.tax_actions import print_drawings, print_givings


def shown(response):
    with out.capture() as captured:
        print_givings(response)
        print_drawings(response)
    return captured.get()


def test_ways_to_give_and_to_withdraw_are_shown_with_what_to_review():
    projection = {"scenario": {"growth": {"value": "0.05"}, "years": 2}, "advantage": {"value": "1504"}}
    response = ParseDict(
        {
            "givings": [{"way": "WAY_GIVE_LOTS", "value": {"value": "10000"}, "sentence": "Giving lots.",
                         "projections": [projection]}],
            "drawings": [{"order": "ORDER_EXEMPT_FIRST", "tax": {"value": "0"}, "sentence": "All of it from the Roth.",
                          "projections": [projection]}],
            "review": ["account ira: its owner's age is unknown"],
        },
        pb.CompareTaxActionsResponse(),
    )  # fmt: skip
    text = shown(response)

    for said in ("Giving lots.", "All of it from the Roth.", "1504", "to review: account ira"):
        assert said in text


def test_nothing_is_shown_where_nobody_asked():
    assert shown(pb.CompareTaxActionsResponse()) == ""
