"""Each report has every field that its rule asks for, says so where it has not, and makes nothing up."""

import dataclasses
import re
from datetime import timedelta
from pathlib import Path

import pytest

from services.audit.domain.entry import new_entry
from services.audit.domain.reports.base import Fact, missing
from services.audit.domain.reports.best_execution import BEST_EXECUTION
from services.audit.domain.reports.cat_linkage import CAT
from services.audit.domain.reports.crosses import CONFIRMATIONS, STATEMENT
from services.audit.domain.reports.mifid_orders import MIFID
from services.audit.domain.reports.order_memorandum import MEMORANDUM
from services.audit.domain.reports.oversight import (
    ACCESS_REPORT,
    CLOCK_REPORT,
    DUTIES_REPORT,
    EVIDENCE_REPORT,
    RECORDS_REPORT,
)
from services.audit.domain.reports.transactions import TRANSACTIONS
from tests.audit.builders import NOON, an_event

RUN, PLAN, ORDER, BLOCK = {"run": "run-1"}, {"plan": "plan-1"}, {"order": "order-1"}, {"block": "block-1"}
STORY = [
    ("decision.run.started", "petra", RUN, {"engine": "kernel 1"}),
    (
        "decision.plan.decided",
        "decision_service",
        RUN | PLAN,
        {"engine": "kernel 1", "policy_hash": "sha256:1", "approver": ""},
    ),
    ("decision.plan.approved", "alba", RUN | PLAN, {"approver": "alba"}),
    (
        "execution.plan.accepted",
        "decision_service",
        RUN | PLAN | {"household": "family"},
        {
            "orders": [],
            "desk": {
                "investment_firm": True,
                "firm_lei": "506700GE1G29325QX363",
                "firm_branch": "DE",
                "venue_mic": "XXXX",
                "broker_lei": "7LTWFZYICNSX8D621K86",
                "execution_algorithm": "EVENKEEL-EXECUTION",
                "capacity": "AOTC",
            },
        },
    ),
    (
        "execution.order.accepted",
        "execution_service",
        RUN | PLAN | ORDER | {"instrument": "VTI"},
        {
            "side": "BUY",
            "quantity": "10",
            "order_type": "LIMIT",
            "limit_price": "101.5",
            "time_in_force": "DAY",
            "currency": "USD",
            "venue_id": "sandbox",
            "custodian": "bank-1",
            "may_aggregate": True,
            "decision_price": "100",
        },
    ),
    (
        "execution.block.formed",
        "execution_service",
        BLOCK | {"instrument": "VTI"},
        {
            "client_order_id": "clord-1",
            "venue_id": "sandbox",
            "arrival_price": "100.2",
            "orders": 1,
            "algorithm": "IMMEDIATE",
            "quote": {"price": "100.2", "currency": "USD", "source": "feed", "as_of_time": "2026-11-22T12:00:00Z"},
            "candidates": [{"venue_id": "sandbox", "eligible": True, "expected_cost_bps": "3"}],
            "venue_reason": "the only venue that takes orders here",
        },
    ),
    ("execution.block.allocation_stated", "execution_service", BLOCK, {"shares": [["order-1", "acc-1", "10", "0"]]}),
    ("execution.block.sent", "execution_service", BLOCK, {"client_order_id": "clord-1"}),
    (
        "execution.block.reported",
        "execution_service",
        BLOCK,
        {
            "report": "Filled",
            "report_id": "exec-1",
            "quantity": "10",
            "price": "100.6",
            "time": "2026-11-22T12:00:08.000001Z",
        },
    ),
    (
        "execution.order.allocated",
        "execution_service",
        RUN | PLAN | ORDER | BLOCK,
        {"quantity": "4", "price": "100", "amount": "400"},
    ),
    (
        "execution.order.allocated",
        "execution_service",
        RUN | PLAN | ORDER | BLOCK,
        {"quantity": "6", "price": "101", "amount": "606"},
    ),
    ("execution.block.cancel_sent", "execution_service", BLOCK, {"reason": "HALTED"}),
    ("execution.order.closed", "execution_service", RUN | PLAN | ORDER, {"state": "FILLED"}),
]
# What was said before: by which names instrument and client go, and that the client gave a mandate.
IDENTITY = {"scheme": "NIDN", "identifier": {"sealed": {}}, "first_names": {"sealed": {}}, "surnames": {"sealed": {}}}
KNOWN = [
    (
        "decision.instrument.identified",
        "decision_service",
        {"instrument": "VTI"},
        {"isin": "US9229087690", "cfi": "CEOGES", "full_name": "Total Stock Market ETF"},
    ),
    (
        "policy.profile.recorded",
        "alba",
        {"household": "family"},
        {"identity": {**IDENTITY, "birth_date": {"sealed": {}}}},
    ),
    (
        "policy.consent.recorded",
        "alba",
        {"household": "family"},
        {"kind": "discretionary-mandate", "expire_time": None},
    ),
]


def facts_of(told, account="acc-1"):
    return [
        Fact.of(
            new_entry(
                an_event(
                    number,
                    kind=kind,
                    actor=actor,
                    account=account if "plan" in subjects else None,
                    subjects=subjects,
                    data=data,
                    occurred_time=NOON + timedelta(seconds=number),
                ),
                index=number,
                account_sequence=number + 1 if account and "plan" in subjects else 0,
                recorded_time=NOON + timedelta(seconds=number, milliseconds=5),
            )
        )
        for number, (kind, actor, subjects, data) in enumerate(told)
    ]


def only_row(report, facts):
    (row,) = report.rows(facts)
    assert set(row.values) == {each.name for each in report.fields}
    return row


def test_a_memorandum_has_what_the_rule_asks_for():
    row = only_row(MEMORANDUM, facts_of(STORY))

    assert row.values == {
        "order_id": "order-1",
        "account": "acc-1",
        "instrument": "VTI",
        "side": "BUY",
        "quantity": "10",
        "order_type": "LIMIT",
        "limit_price": "101.5",
        "time_in_force": "DAY",
        "currency": "USD",
        "entry_time": "2026-11-22T12:00:04.250000Z",
        "modifications": ["2026-11-22T12:00:11.250000Z cancel_sent: HALTED"],
        "recommended_by": "kernel 1",
        "run_started_by": "petra",
        "approved_by": "alba",
        "placed_by": "execution_service",
        "broker": "sandbox",
        "bank": "bank-1",
        "discretionary": None,
        "executed_quantity": "10",
        "crossed_quantity": "0",
        "average_price": "100.6",
        "end_state": "FILLED",
    }
    assert list(row.evidence) == list(range(len(STORY)))
    # What no entry tells is named, and not made up.
    assert missing(MEMORANDUM, row) == ["discretionary"]


def test_the_chain_from_order_to_allocation_is_whole():
    row = only_row(CAT, facts_of(STORY))

    assert missing(CAT, row) == []
    assert row.values["route_ids"] == ["block-1"]
    assert row.values["broker_order_ids"] == ["clord-1"]
    assert row.values["route_times"] == ["2026-11-22T12:00:07.250000Z"]
    assert row.values["venue_execution_ids"] == ["exec-1"]
    assert [each["quantity"] for each in row.values["allocations"]] == ["4", "6"]


def test_decisions_and_orders_have_what_mifid_asks_for_but_for_what_is_not_in_the_log():
    row = only_row(MIFID, facts_of(STORY))

    assert row.values["decision_time"] == "2026-11-22T12:00:01.250000Z"
    assert (row.values["decision_maker"], row.values["decision_algorithm"]) == ("alba", "kernel 1")
    assert row.values["net_amount"] == "1006"
    # Nobody said so before the order.
    assert missing(MIFID, row) == ["client_lei", "isin", "discretionary"]
    known = only_row(MIFID, facts_of([*KNOWN, *STORY]))
    assert missing(MIFID, known) == []
    assert (known.values["isin"], known.values["firm_lei"]) == ("US9229087690", "506700GE1G29325QX363")
    assert list(known.evidence) == list(range(len(KNOWN) + len(STORY)))


def test_what_is_said_after_the_order_does_not_count_for_it():
    row = only_row(MIFID, facts_of([*STORY, *KNOWN]))

    assert missing(MIFID, row) == ["client_lei", "isin", "discretionary"]


@pytest.mark.parametrize(
    ("said", "discretionary"),
    [
        ([("policy.consent.withdrawn", {"kind": "discretionary-mandate"})], False),
        ([("policy.consent.recorded", {"kind": "aggregation"})], True),
        (
            [("policy.consent.recorded", {"kind": "discretionary-mandate", "expire_time": "2020-01-01T00:00:00Z"})],
            False,
        ),
    ],
)
def test_a_mandate_counts_until_it_is_withdrawn_or_over(said, discretionary):
    more = [(kind, "alba", {"household": "family"}, data) for kind, data in said]
    story = [list(each) for each in STORY]
    story[4][3] = {**story[4][3], "expire_time": "2026-11-22T21:00:00Z"}

    row = only_row(MEMORANDUM, facts_of([*KNOWN, *more, *story]))

    assert row.values["discretionary"] is discretionary


def test_the_transaction_report_has_all_65_fields_each_with_a_value_or_a_reason():
    assert [each.number for each in TRANSACTIONS.columns] == list(range(1, 66))
    for each in TRANSACTIONS.columns:
        assert bool(each.absent) != bool(each.value), each.name

    rows = list(TRANSACTIONS.rows(facts_of([*KNOWN, *STORY])))

    assert len(rows) == 2
    assert [missing(TRANSACTIONS, row) for row in rows] == [[], []]
    said = rows[0].values
    assert said["buyer_id"] == "sealed in entry 1, identity.identifier"
    assert (said["buyer_decision_maker"], said["seller_id"]) == ("506700GE1G29325QX363", "7LTWFZYICNSX8D621K86")
    assert (said["quantity"], said["price"], said["venue_transaction_id"]) == ("4", "100", "exec-1")
    assert (said["trading_time"], said["isin"]) == ("2026-11-22T12:00:08.000001Z", "US9229087690")
    assert (said["investment_decision"], said["decision_country"]) == ("alba", "DE")
    assert said["seller_first_names"] is said["short_sale"] is None
    references = [row.values["transaction_reference"] for row in rows]
    assert len(set(references)) == 2
    assert all(len(each) == 32 for each in references)


def test_clients_together_stand_between_the_market_and_each_of_them():
    story = [list(each) for each in STORY]
    story[5][3] = {**story[5][3], "orders": 2}
    busted = ("execution.block.reported", "execution_service", BLOCK, {"report": "FillBusted", "busts": "exec-1"})

    rows = list(TRANSACTIONS.rows(facts_of([*KNOWN, *story, busted])))

    said = [
        (row.values["report_status"], row.values["buyer_id"], row.values["seller_id"], row.values["quantity"])
        for row in rows
    ]
    client, broker = "sealed in entry 1, identity.identifier", "7LTWFZYICNSX8D621K86"
    assert said == [
        ("NEWT", "INTC", broker, "10"),
        ("CANC", "INTC", broker, "10"),
        ("NEWT", client, "INTC", "4"),
        ("NEWT", client, "INTC", "6"),
    ]
    assert rows[0].values["transaction_reference"] == rows[1].values["transaction_reference"]
    assert [row.values["venue"] for row in rows] == ["XXXX", "XXXX", "XOFF", "XOFF"]
    assert all(missing(TRANSACTIONS, row) == [] for row in rows)


def test_what_other_clients_filled_faces_no_market_and_is_matched():
    crossed = ("execution.block.crossed", "execution_service", BLOCK, {"crossed_block_id": "block-2"})
    facts = facts_of([*KNOWN, *STORY, crossed])

    rows = list(TRANSACTIONS.rows(facts))

    said = [(row.values["buyer_id"], row.values["seller_id"], row.values["quantity"]) for row in rows]
    client = "sealed in entry 1, identity.identifier"
    assert said == [(client, "INTC", "4"), (client, "INTC", "6")]
    assert [(row.values["trading_capacity"], row.values["venue"]) for row in rows] == [("MTCH", "XOFF")] * 2
    assert all(missing(TRANSACTIONS, row) == [] for row in rows)
    assert only_row(MEMORANDUM, facts).values["crossed_quantity"] == "10"


def test_clients_who_sell_together_sell_nothing_short_and_only_each_of_them_says_so():
    story = [list(each) for each in STORY]
    story[4][3], story[5][3] = {**story[4][3], "side": "SELL"}, {**story[5][3], "orders": 2}

    rows = list(TRANSACTIONS.rows(facts_of([*KNOWN, *story])))

    assert [(row.values["seller_id"] == "INTC", row.values["short_sale"]) for row in rows] == [
        (True, None),
        (False, "SELL"),
        (False, "SELL"),
    ]
    assert all(missing(TRANSACTIONS, row) == [] for row in rows)


def test_the_documented_table_is_the_report():
    lines = (Path(__file__).parents[3] / "docs/transaction-report.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d", line)]

    assert [(int(row[0]), row[1]) for row in rows] == [(each.number, f"`{each.name}`") for each in TRANSACTIONS.columns]
    absent = {row[1].strip("`"): row[2].removeprefix("— ") for row in rows if row[2].startswith("— ")}
    assert absent == {each.name: each.absent for each in TRANSACTIONS.columns if each.absent}


@pytest.mark.parametrize("gone", range(len(KNOWN)))
def test_a_transaction_without_what_was_said_before_names_what_is_missing(gone):
    told = [each for number, each in enumerate(KNOWN) if number != gone]

    row = next(TRANSACTIONS.rows(facts_of([*told, *STORY])))

    assert (
        missing(TRANSACTIONS, row)
        == [
            ["isin", "instrument_name", "instrument_classification"],
            ["buyer_id", "buyer_first_names", "buyer_surnames", "buyer_birth_date"],
            ["buyer_decision_maker"],
        ][gone]
    )


@pytest.mark.parametrize("report", [MEMORANDUM, MIFID, CAT, BEST_EXECUTION], ids=lambda each: each.name)
@pytest.mark.parametrize("gone", range(len(STORY)))
def test_whatever_entry_is_lacking_a_report_says_what_is_missing_or_says_the_same(report, gone):
    whole = only_row(report, facts_of(STORY))
    facts = [fact for fact in facts_of(STORY) if fact.index != gone]
    rows = list(report.rows(facts))

    if STORY[gone][0] == "execution.order.accepted":
        assert rows == []
        return
    (row,) = rows
    assert gone not in row.evidence
    changed = [name for name, value in row.values.items() if value != whole.values[name]]
    one_of_several = {
        "allocations",
        "executed_quantity",
        "average_price",
        "net_amount",
        "cost_bps",
        "modifications",
        "decision_maker",
    }
    for name in changed:
        assert row.values[name] in (None, "", []) or name in one_of_several | {"approved_by"}, (name, row.values[name])


def test_an_order_without_a_fill_or_a_limit_may_be_without_them():
    told = [list(each) for each in STORY[:5]]
    told[4][3] = {**told[4][3], "order_type": "MARKET", "limit_price": None}

    rows = {report.name: only_row(report, facts_of(told)) for report in (MEMORANDUM, CAT)}

    assert missing(MEMORANDUM, rows["order-memorandum"]) == ["discretionary"]
    assert missing(CAT, rows["cat-linkage"]) == []


def test_who_decides_alone_is_seen():
    change = {"change": "change-1"}
    told = [
        ("policy.change.created", "ada", change, {"author": "ada"}),
        ("policy.change.approved", "pavel", change, {"author": "ada"}),
        ("policy.change.created", "ada", {"change": "change-2"}, {"author": "ada"}),
        ("policy.change.approved", "ada", {"change": "change-2"}, {"author": "ada"}),
        ("decision.run.started", "petra", RUN, {}),
        ("decision.plan.approved", "decision_service", RUN, {"approver": "rule"}),
        ("decision.plan.approved", "alba", RUN, {"approver": "alba"}),
        ("execution.trading.resumed", "rosa", {}, {"halted_by": "tomas", "scope": "ALL"}),
        ("execution.trading.resumed", "tomas", {}, {"halted_by": "vera", "also_halted_by": ["tomas"], "scope": "ALL"}),
        ("policy.change.approved", "pavel", {"change": "change-3"}, {}),
    ]

    rows = list(DUTIES_REPORT.rows(facts_of(told)))

    said = [(row.values["what"], row.values["began_by"], row.values["decided_by"], row.values["apart"]) for row in rows]
    assert said == [
        ("policy change", "ada", "pavel", True),
        ("policy change", "ada", "ada", False),
        ("plan", "petra", "alba", True),
        ("trading halt", "tomas", "rosa", True),
        ("trading halt", "tomas, vera", "tomas", False),
        ("policy change", "", "pavel", None),
    ]
    assert missing(DUTIES_REPORT, rows[-1]) == ["began_by", "apart"]


def test_access_clocks_records_and_evidence_have_every_field():
    access = only_row(
        ACCESS_REPORT,
        facts_of([("audit.access.read", "carl", {}, {"roles": ["x"], "method": "m", "log": "events", "question": {}})]),
    )
    clock = only_row(
        CLOCK_REPORT,
        facts_of(
            [
                (
                    "audit.clock.checked",
                    "audit_service",
                    {},
                    {
                        "sources": [
                            {
                                "source": "database",
                                "source_kind": "DATABASE",
                                "offset_us": -12,
                                "uncertainty_us": 300,
                                "stratum": None,
                                "within_50_ms": True,
                                "within_1_ms": True,
                            }
                        ]
                    },
                )
            ]
        ),
    )
    records = only_row(
        RECORDS_REPORT,
        facts_of(
            [
                (
                    "audit.records.proposed",
                    "carl",
                    {},
                    {"proposal_id": "p", "action": "CLASS", "content": {}, "reason": "r"},
                ),
                ("audit.records.decided", "rita", {}, {"proposal_id": "p", "approved": True, "comment": ""}),
            ]
        ),
    )
    evidence = next(EVIDENCE_REPORT.rows(facts_of(STORY)))
    scrubs = [("audit.log.scrubbed", "audit_service", {}, {"finding_count": count}) for count in (0, 2)]
    assert only_row(EVIDENCE_REPORT, facts_of(scrubs)).values["findings"] == 2

    assert missing(ACCESS_REPORT, access) == []
    assert missing(CLOCK_REPORT, clock) == []
    assert missing(RECORDS_REPORT, records) == []
    assert (evidence.values["kind"], evidence.values["entries"]) == ("decision.plan.approved", 1)
    assert missing(EVIDENCE_REPORT, evidence) == []


@pytest.mark.parametrize(
    "report",
    [
        MEMORANDUM,
        MIFID,
        TRANSACTIONS,
        CAT,
        BEST_EXECUTION,
        CONFIRMATIONS,
        STATEMENT,
        ACCESS_REPORT,
        DUTIES_REPORT,
        RECORDS_REPORT,
        CLOCK_REPORT,
        EVIDENCE_REPORT,
    ],
)
def test_every_field_says_what_it_is_and_which_rule_asks_for_it(report):
    assert report.name
    assert report.title
    assert report.citation
    assert list(report.rows([])) == []
    for each in report.fields:
        assert all(dataclasses.astuple(each)[:3]), each
