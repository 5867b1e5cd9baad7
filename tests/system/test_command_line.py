"""`evenkeel`, as a person types it, against the running services."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.support.keyboard import Keyboard
from tests.support.systems import ASKED, ASKED_ACCOUNTS, on

pytestmark = on(ASKED)

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "tools" / "demo" / "policies"


@pytest.fixture(scope="module")
def evenkeel(asked_system):
    """Type a command: `await evenkeel("account", "list")`."""
    directory = asked_system.stack.directory
    return Keyboard(directory, {"EVENKEEL_PROFILE": str(directory / "profile.toml")})


@pytest.fixture(scope="module")
async def run_id(evenkeel) -> str:
    """A run that was started and watched from the command line."""
    started = await evenkeel("--json", "run", "start", "--watch")
    assert started.code == 0, started.err
    return started.json["run_id"]


async def test_a_run_is_started_watched_and_shown(evenkeel, run_id):
    shown = await evenkeel("run", "show", run_id)
    listed = await evenkeel("run", "list")

    assert shown.code == listed.code == 0
    assert f"{ASKED_ACCOUNTS} of {ASKED_ACCOUNTS} decided" in shown.out
    assert run_id in listed.out


async def test_status_says_that_all_serve(evenkeel):
    status = await evenkeel("status")

    assert status.code == 0
    assert status.out.count("SERVING") == 4


async def test_an_account_is_shown_with_its_mix_and_its_lots(evenkeel, run_id):
    shown = await evenkeel("account", "show", "account-00001", "--lots")

    assert shown.code == 0
    assert "account-00001" in shown.out
    assert "Lots" in shown.out
    assert (await evenkeel("--json", "account", "list")).json["accounts"][0]["account_id"] == "account-00001"


async def test_a_tax_year_is_assessed_from_the_history_that_the_documentation_shows(evenkeel, tmp_path):
    file = tmp_path / "history.yaml"
    page = (ROOT / "docs" / "tax.md").read_text()
    file.write_text(page.partition("```yaml\n")[2].partition("```")[0])

    shown = await evenkeel("tax", "preview", "-f", str(file))

    assert shown.code == 0, shown.err
    assert "TCGA 1992 s. 106A(5)" in shown.out
    assert "annual exempt amount used" in shown.out


async def test_what_happens_to_lots_is_recorded_and_its_ledger_and_what_could_be_done_are_shown(evenkeel, tmp_path):
    account = (await evenkeel("--json", "account", "show", "account-00001", "--lots")).json
    held = account["positions"][0]["instrument_id"]
    file, forms = tmp_path / "request.yaml", tmp_path / "forms.csv"
    taxpayer = """
united_states: {filing_status: FILING_STATUS_SINGLE, ordinary_income: 100000}
accounts: [{account_id: account-00001, owner: OWNER_TAXPAYER}]
"""
    file.write_text(
        f"events: [{{event_id: typed-1, account_id: account-00001, instrument_id: {held}, date: 2023-01-03, "
        "acquired: {quantity: 1, cost: 100.00 USD, reinvested: true}}]"
    )
    recorded, again = [await evenkeel("tax", "record", "-f", str(file)) for _ in range(2)]
    assert (recorded.code, again.code) == (0, 0), recorded.err
    assert "1 recorded, 0 on record already" in recorded.out
    assert "0 recorded, 1 on record already" in again.out
    assert "typed-1" in (await evenkeel("tax", "events", "--account", "account-00001")).out

    file.write_text(f"tax_year: 2023\n{taxpayer}")
    ledger = await evenkeel("tax", "ledger", "-f", str(file), "--forms", str(forms))
    assert ledger.code == 0, ledger.err
    assert "typed-1" in ledger.out
    assert f"account-00001 {held}:" in ledger.out
    assert forms.read_text().startswith("form,part,description")

    file.write_text(f"scenarios: [{{growth: 0.05, years: 3}}]\nwithdrawal: 100\n{taxpayer}")
    compared = await evenkeel("tax", "compare", "-f", str(file))
    assert compared.code == 0, compared.err
    assert "everything would bring" in compared.out
    assert "after tax" in compared.out
    table, folder = tmp_path / "taxpayers.csv", tmp_path / "year-end"
    table.write_text(
        "taxpayer_id,country,account_ids,filing_status\none,US,account-00001,SINGLE\ntwo,US,account-00002,\n"
    )
    ends = await evenkeel("tax", "year-ends", "2023", str(table), "--to", str(folder), "--whole", "US")
    assert ends.code == 0, ends.err
    assert "refused: TAXPAYER_UNKNOWN" in ends.out
    assert (folder / "years-US.csv").read_text().splitlines()[1].startswith("one,0,")
    assert "two,,TAXPAYER_UNKNOWN" in (folder / "refused.csv").read_text()
    file.write_text("withdrawn_event_ids: [typed-1]")
    assert "1 withdrawn" in (await evenkeel("tax", "record", "-f", str(file))).out


async def test_the_law_of_a_year_to_come_is_proposed_by_one_person_and_reviewed_by_another(evenkeel, tmp_path):
    file = tmp_path / "law.yaml"
    page = (ROOT / "docs" / "tax.md").read_text()
    file.write_text(next(each for each in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "jurisdiction:" in each))
    taxpayers = tmp_path / "years.yaml"
    taxpayers.write_text("""
tax_year: 2027
taxpayers:
  - taxpayer_id: typed
    united_states: {filing_status: FILING_STATUS_SINGLE}
    accounts: [{account_id: account-00001, owner: OWNER_TAXPAYER}]
""")

    before = await evenkeel("tax", "years", "-f", str(taxpayers))
    assert "JURISDICTION_UNKNOWN" in before.out
    due = await evenkeel("tax", "law", "due", "--country", "US", "--days", "100000")
    assert (due.code, "tax year 2027" in due.out) == (1, True)
    proposed = await evenkeel("tax", "law", "propose", "-f", str(file))
    assert "US 2027 version 1 proposed" in proposed.out
    shown = await evenkeel("tax", "law", "show", "US", "2027", "--version", "1")
    assert "single.long_term_top_2" in shown.out
    approved = await evenkeel("tax", "law", "review", "US", "2027", "1", "--approve", "--note", "as published")
    assert "approved" in approved.out
    listed = await evenkeel("tax", "law", "list", "--country", "US", "--year", "2027")
    assert "in force" in listed.out
    due = await evenkeel("tax", "law", "due", "--country", "US", "--days", "100000")
    assert "tax year 2028" in due.out
    after = await evenkeel("tax", "years", "-f", str(taxpayers))
    assert "typed" in after.out
    assert "JURISDICTION_UNKNOWN" not in after.out


async def test_a_policy_is_shown_with_the_origin_of_each_field(evenkeel):
    shown = await evenkeel("policy", "show", "account-00001")

    assert shown.code == 0
    assert "tax.long_term_rate" in shown.out
    assert "ada.author" in shown.out
    assert "pavel.approver" in shown.out


async def test_a_policy_is_linted_submitted_by_one_and_approved_by_another(evenkeel, tmp_path):
    file = tmp_path / "program.yaml"
    file.write_text("tax: {long_term_rate: 0.25}\n")
    assert (await evenkeel("policy", "lint", "program-digital", "-f", str(file))).code == 0

    submitted = await evenkeel(
        "--json", "policy", "submit", "program-digital", "-f", str(file), "--reason", "A new rate.",
        "--effective", "2022-12-29T00:00:00",
    )  # fmt: skip
    assert submitted.code == 0, submitted.err
    change = submitted.json["change"]

    as_read = (change["change_id"], change["version_hash"], "--etag", change["etag"])
    alone = await evenkeel("--as", "policy_author", "policy", "approve", *as_read)
    assert alone.code == 1
    assert "PERMISSION_DENIED" in alone.err
    assert "ROLE_MISSING" in alone.err
    shown = await evenkeel("policy", "change", change["change_id"])
    assert "0 of 1: every change needs one approver" in shown.out
    assert " ".join(("evenkeel policy approve", *as_read)) in shown.out
    approved = await evenkeel("policy", "approve", *as_read)
    assert approved.code == 0, approved.err
    assert "decided by pavel.approver" in approved.out
    assert change["change_id"] in (await evenkeel("policy", "changes")).out


async def test_rules_are_compared_explained_looked_up_and_followed(evenkeel):
    explained = await evenkeel("policy", "explain", "account-00001", "tax.long_term_rate")
    assert explained.code == 0, explained.err
    assert "ada.author" in explained.out
    versions = (await evenkeel("--json", "policy", "as-of", "account-00001")).json["versions"]
    compared = await evenkeel("policy", "diff", versions[0]["version_hash"], versions[-1]["version_hash"])
    assert "is set to" in compared.out
    watched = await evenkeel("policy", "watch", "--count", "1")
    assert "activated" in watched.out
    listed = await evenkeel("policy", "changes", "--state", "active", "--field", "tax")
    assert versions[0]["change_id"] in listed.out
    schema = await evenkeel("policy", "schema")
    assert schema.json["title"] == "PolicyDocument"


async def test_the_tree_is_listed_grown_and_pruned(evenkeel):
    assert "firm" in (await evenkeel("policy", "node", "list", "--kind", "firm")).out
    created = await evenkeel(
        "policy", "node", "create", "account-new", "--kind", "account", "--parent", "program-digital", "--name", "New"
    )
    assert created.code == 0, created.err
    assert "account, under program-digital" in (await evenkeel("policy", "node", "show", "account-new")).out
    refused = await evenkeel("policy", "node", "delete", "program-digital")
    assert refused.code == 1
    assert "POLICY_NODE_HAS_CHILDREN" in refused.err
    assert (await evenkeel("policy", "node", "delete", "account-new")).code == 0
    resolved = await evenkeel("policy", "resolve", "account-00001", "account-00002")
    assert "account-00001" in resolved.out


async def test_a_change_is_edited_by_its_author_and_its_version_is_shown(evenkeel, tmp_path):
    file = tmp_path / "program.yaml"
    file.write_text("cost: {turnover_limit: 0.7}\n")
    submitted = await evenkeel(
        "--json", "policy", "submit", "program-digital", "-f", str(file), "--reason", "Less trading."
    )
    change = submitted.json["change"]
    file.write_text("cost: {turnover_limit: 0.6}\n")

    edited = await evenkeel("--json", "policy", "edit", change["change_id"], "-f", str(file), "--reason", "Still less.")

    assert edited.code == 0, edited.err
    now = edited.json["change"]
    assert (now["reason"], now["document"]["cost"]["turnover_limit"]["value"]) == ("Still less.", "0.6")
    assert now["version_hash"] != change["version_hash"]
    shown = await evenkeel("policy", "version", now["version_hash"])
    assert "turnover_limit: '0.6'" in shown.out
    assert "written by ada.author: Still less." in shown.out
    assert (await evenkeel("policy", "withdraw", change["change_id"])).code == 0


async def test_decision_tells_policy_what_accounts_are_worth_by_itself(evenkeel):
    # Policy says so in the log, as soon as decision has the book and its prices.
    async with asyncio.timeout(60):
        while True:
            listed = await evenkeel("--json", "audit", "list", "--kind", "policy.values.recorded")
            if any("decision" in entry["event"]["actor"] for entry in listed.json.get("entries", [])):
                return
            await asyncio.sleep(0.2)


async def test_what_accounts_are_worth_is_recorded_for_the_rules_of_approval(evenkeel):
    recorded = await evenkeel("policy", "record-values")

    assert recorded.code == 0, recorded.err
    assert f"{ASKED_ACCOUNTS} accounts recorded" in recorded.out


async def test_a_kept_preview_is_listed_with_its_error_or_that_nothing_came_yet(evenkeel, run_id):
    kept = await evenkeel("plan", "preview", "account-00005", "--regardless", "--keep")
    listed = await evenkeel("plan", "previews", "account-00005")

    assert (kept.code, listed.code) == (0, 0), kept.err + listed.err
    assert "nothing came yet" in listed.out
    assert "policy" in listed.out


async def test_a_draft_is_tried_on_a_past_run_and_a_transition_over_years_is_shown(evenkeel, run_id, tmp_path):
    file = tmp_path / "account.yaml"
    file.write_text("cost: {turnover_limit: 0.01}\n")
    submitted = await evenkeel(
        "--json", "policy", "submit", "account-00006", "-f", str(file), "--reason", "Hardly any trading."
    )
    assert submitted.code == 0, submitted.err

    tried = await evenkeel("policy", "impact", submitted.json["change"]["change_id"], "--run", run_id)
    planned = await evenkeel("plan", "transition", "account-00006", "--years", "2")

    assert (tried.code, planned.code) == (0, 0), tried.err + planned.err
    assert "account-00006" in tried.out
    assert f"1 of {ASKED_ACCOUNTS} accounts have other rules with it" in tried.out
    assert "2022" in planned.out
    assert "2023-01-01" in planned.out
    assert "are meant to be realized" in planned.out


async def test_a_stop_holds_until_somebody_else_lifts_it(evenkeel):
    stopped = await evenkeel("--json", "policy", "stop", "account-00002", "--reason", "Odd.")
    assert stopped.code == 0, stopped.err
    stop_id = stopped.json["stop"]["stop_id"]
    assert "paused: true" in (await evenkeel("policy", "show", "account-00002")).out
    assert stop_id in (await evenkeel("policy", "stops", "--holding")).out

    assert "ROLE_MISSING" in (await evenkeel("--as", "trader", "policy", "lift", stop_id, "--reason", "Fine.")).err
    lifted = await evenkeel("policy", "lift", stop_id, "--reason", "Fine.")

    assert lifted.code == 0, lifted.err
    assert stop_id not in (await evenkeel("policy", "stops", "--holding")).out


async def test_without_consent_an_account_is_held_and_with_it_decided(evenkeel, run_id, tmp_path):
    file = tmp_path / "account.yaml"
    file.write_text("client: {required_consents: [discretionary-mandate]}\n")
    account = "account-00003"
    submitted = await evenkeel("--json", "policy", "submit", account, "-f", str(file), "--reason", "By law.")
    assert submitted.code == 0, submitted.err
    change = submitted.json["change"]
    as_read = (change["change_id"], change["version_hash"], "--etag", change["etag"])
    approved = await evenkeel("policy", "approve", *as_read)
    assert approved.code == 0, approved.err

    async def outline():
        run = (await evenkeel("--json", "run", "start", account, "--dry-run", "--watch")).json["run_id"]
        (plan,) = (await evenkeel("--json", "plan", "list", "--run", run)).json["plans"]
        return (await evenkeel("plan", "show", plan["plan_id"])).out

    assert "no valid consent is on record: discretionary-mandate" in await outline()
    given = await evenkeel("client", "consent", account, "discretionary-mandate", "--evidence", "document 17")
    assert given.code == 0, given.err
    assert "consent" not in await outline()
    listed = await evenkeel("client", "consents", account)
    assert "valid now: discretionary-mandate" in listed.out
    withdrawn = await evenkeel("client", "withdraw-consent", account, "discretionary-mandate", "--evidence", "a letter")
    assert withdrawn.code == 0, withdrawn.err
    assert "no valid consent is on record" in await outline()


async def test_a_profile_is_recorded_and_a_preference_outside_is_refused_with_its_bound(evenkeel):
    recorded = await evenkeel(
        "client", "set-profile", "account-00004", "--born", "1966-03-05", "--tolerance", "7", "--reason", "the talk"
    )
    assert recorded.code == 0, recorded.err
    assert "1966-03-05" in (await evenkeel("client", "profile", "account-00004")).out

    refused = await evenkeel("client", "prefer", "account-00004", "--tax", "0.5")
    previewed = await evenkeel("client", "preview", "account-00004", "--tax", "0.5", "--plan")

    assert refused.code == previewed.code == 1
    assert "PREFERENCE_OUTSIDE_BOUNDS" in refused.err
    assert "policy sets no bounds for it" in previewed.out
    assert "with the preferences" in previewed.out
    assert "vanguard-200-175" in (await evenkeel("client", "presets")).out


async def test_a_document_that_is_wrong_is_told_by_field(evenkeel, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text("tax: {long_term_rate: lots}\n")

    refused = await evenkeel("policy", "submit", "firm", "-f", str(file), "--reason", "Try.")

    assert refused.code == 1
    assert "tax.long_term_rate: must be a number, was 'lots'" in refused.err
    for words in (("preview", "account-00001"), ("transition", "account-00001")):
        refused = await evenkeel("plan", *words, "--policy", str(file))
        assert refused.code == 1
        assert "tax.long_term_rate: must be a number, was 'lots'" in refused.err
        assert "Traceback" not in refused.err

    # Read before any service is asked.
    file.write_text("events: lots\n")
    refused = await evenkeel("tax", "record", "-f", str(file))
    assert refused.code == 1
    assert "events" in refused.err
    assert "Traceback" not in refused.err


async def test_the_held_plan_is_read_approved_and_replayed(evenkeel, run_id):
    held = (await evenkeel("--json", "plan", "list", "--run", run_id, "--held")).json["plans"]
    assert len(held) == 1
    plan = held[0]
    shown = await evenkeel("plan", "show", plan["plan_id"])
    assert plan["plan_hash"] in shown.out
    assert "waits for a person" in shown.out

    approved = await evenkeel("plan", "approve", plan["plan_id"], plan["plan_hash"], "--comment", "Fine.")
    assert approved.code == 0, approved.err
    assert "alba.advisor" in approved.out
    replayed = await evenkeel("plan", "replay", plan["plan_id"])
    assert replayed.code == 0, replayed.err
    assert "identical" in replayed.out


async def test_orders_and_blocks_are_listed_and_a_block_shows_who_got_what(evenkeel, run_id):
    async def states():
        orders = (await evenkeel("--json", "order", "list", "--run", run_id)).json["orders"]
        return {order["state"] for order in orders}

    blocks = (await evenkeel("--json", "block", "list", "--run", run_id)).json["blocks"]
    shown = await evenkeel("block", "show", blocks[0]["block_id"])
    seen = await states()
    async with asyncio.timeout(60):
        # An order that is ready leaves a moment later, and what is filled is shared out a moment after that.
        while "STATE_READY" in seen or "account-0000" not in shown.out:
            await asyncio.sleep(0.2)
            shown = await evenkeel("block", "show", blocks[0]["block_id"])
            seen = await states()

    assert seen <= {"STATE_FILLED", "STATE_CANCELED", "STATE_WORKING", "STATE_WAITING"}
    assert shown.code == 0
    assert "Allocations" in shown.out
    some = (await evenkeel("--json", "order", "list", "--run", run_id, "--count", "1")).json["orders"][0]
    order = await evenkeel("order", "show", some["order_id"])
    assert some["account_id"] in order.out
    assert some["plan_id"] in order.out
    assert "ORDER_NOT_FOUND" in (await evenkeel("order", "show", "order-none")).err
    assert (await evenkeel("order", "list", "--run", "run-none")).out == "no orders\n"


async def test_orders_are_watched_until_the_last_of_them_is_over(evenkeel, run_id):
    watched = await evenkeel("--json", "order", "watch", "--run", run_id)
    table = await evenkeel("order", "watch", "--run", run_id)

    assert watched.code == table.code == 0
    last = {each["order_id"]: each["state"] for each in map(json.loads, watched.out.splitlines())}
    listed = (await evenkeel("--json", "order", "list", "--run", run_id, "--count", "1000")).json["orders"]
    assert last == {each["order_id"]: each["state"] for each in listed}
    assert set(last.values()) <= {"STATE_FILLED", "STATE_CANCELED"}
    assert "filled" in table.out


async def test_costs_are_told_by_currency(evenkeel, run_id):
    await evenkeel("order", "watch", "--run", run_id)
    told = await evenkeel("cost", "--run", run_id)

    assert re.search(r"^shortfall +-?[0-9,]+\.[0-9]{2}$", told.out, re.MULTILINE)
    by_venue = await evenkeel("cost", "--run", run_id, "--by", "venue")
    assert "USD" in told.out
    assert "sandbox" in by_venue.out
    assert (await evenkeel("cost", "--run", "run-none")).out == "no order is over\n"


async def test_a_cost_model_is_not_fitted_to_too_few_orders(evenkeel, run_id):
    fitted = await evenkeel("calibrate", "--run", run_id, "--since", "2999-01-01T00:00:00")

    assert fitted.code == 1
    assert "at least 30 closed orders in USD are needed" in fitted.err
    assert "COSTS_TOO_FEW" in fitted.err


async def test_a_custodians_statement_is_imported_and_what_differs_is_shown(evenkeel, run_id, tmp_path):
    file = tmp_path / "statement.yaml"
    file.write_text(
        "custodian: custodian-z\nday: 2022-12-28\naccounts:\n  - account_id: account-00001\n    cash: 100.00 USD\n"
        "    positions:\n      - {instrument_id: VTI, quantity: 10}\n"
        "trades:\n  - {reference: t-1, account_id: account-00001, instrument_id: VTI, side: SIDE_BUY, quantity: 10,\n"
        "     value: 900.00 USD, fees: 0.00 USD, trade_date: 2022-12-28, settlement_date: 2022-12-30}\n"
        "movements:\n  - {reference: m-1, account_id: account-00001, kind: KIND_DIVIDEND, instrument_id: VTI,\n"
        "     cash: 8.15 USD, day: 2022-12-27}\n"
    )

    imported = await evenkeel("custodian", "import", str(file))
    shown = await evenkeel("--json", "custodian", "reconcile", "custodian-z")

    assert imported.code == 0, imported.err
    assert "of 1 of 1 accounts custodian-z speaks for the first time" in imported.out
    assert "1 of 1 movements are new" in imported.out
    assert "account-00001" in imported.out
    assert "2022-12-28" in imported.out
    (found,) = shown.json["breaks"]
    assert (found["kind"], found["source"]) == ("EXTRA_TRADE", "custodian-z")
    assert (await evenkeel("break", "list", "--owner", "nobody")).out == "no break is nobody's\n"
    assert (await evenkeel("break", "resolve", found["break_id"], "--note", "A test's.")).code == 0
    file.write_text(file.read_text().replace("day: 2022-12-28", "day: 2032-12-28"))
    early = await evenkeel("custodian", "import", str(file))
    assert early.code == 1
    assert "day: must be at most 2022-12-28, was 2032-12-28" in early.err


async def test_the_log_is_listed_shown_verified_and_exported(evenkeel, run_id, tmp_path):
    listed = await evenkeel("audit", "list", "--about", "account=account-00001", "--kind", "decision.*")
    assert "decision.plan.decided" in listed.out
    assert (await evenkeel("audit", "show", "0")).json["index"] == 0

    verified = await evenkeel("audit", "verify", "--export", str(tmp_path / "log.jsonl"))
    assert verified.code == 0, verified.err
    assert "log verified" in verified.out
    first = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert first["index"] == 0


async def test_a_log_signed_by_another_key_does_not_verify(evenkeel, run_id):
    other = "evenkeel.local/log+9d6fe9a5+AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"

    assert (await evenkeel("audit", "verify", "--key", other)).code != 0


async def test_trading_is_stopped_by_one_and_resumed_by_another(evenkeel, run_id):
    stopped = await evenkeel("halt", "instrument", "GME", "--reason", "Looks odd.")
    assert stopped.code == 0, stopped.err
    assert stopped.out.startswith("stopped: instrument GME, halted;")
    shown = await evenkeel("trading", "--instrument", "GME")
    assert "GME" in shown.out
    assert "an order: at most" in shown.out
    less = await evenkeel("halt", "instrument", "GME", "--reducing", "--reason", "A little odd.")
    assert "had stopped more" in less.out
    slip = await evenkeel("halt", "venue", "sandbx", "--reason", "Looks odd.")
    assert "scope.id: must be one of internal, sandbox, was sandbx" in slip.err

    resumed = await evenkeel("resume", "instrument", "GME", "--reason", "It is fine.")
    assert resumed.code == 0, resumed.err
    assert "GME" not in (await evenkeel("trading")).out


async def test_a_missing_profile_is_told_with_what_to_do(evenkeel):
    lost = await evenkeel("--profile", "nowhere.toml", "status")

    assert lost.code == 1
    assert "make up" in lost.err


async def test_compliance_asks_by_the_command_line(evenkeel, run_id, tmp_path):
    (order,) = (await evenkeel("--json", "audit", "list", "--kind", "execution.order.allocated", "--count", "1")).json[
        "entries"
    ]
    about = {each["kind"]: each["id"] for each in order["event"]["subjects"]}

    told = await evenkeel("--json", "audit", "story", f"order={about['order']}")
    chapters = [each["chapter"].removeprefix("CHAPTER_") for each in told.json["entries"]]
    assert {"POLICY", "INPUTS", "DECISION", "ORDER", "VENUE", "ALLOCATION", "BOOK"} <= set(chapters)

    file = tmp_path / "record.json"
    whole = await evenkeel("audit", "record", about["account"], "--file", str(file))
    assert (whole.code, "complete" in whole.out) == (0, True)
    assert json.loads(file.read_text())["account"] == about["account"]

    known = await evenkeel("--json", "audit", "as-of", f"plan={about['plan']}")
    assert "decision.plan.decided" in [each["entry"]["event"]["kind"] for each in known.json["entries"]]

    approved = (await evenkeel("--json", "audit", "approvals")).json["approvals"]
    assert approved
    assert all(each["independent"] for each in approved if each["entry"]["event"]["kind"] == "policy.change.approved")

    looked = (await evenkeel("--json", "audit", "accesses", "--about", f"account={about['account']}")).json["accesses"]
    assert "evenkeel.audit.v1.AuditQueryService/GetAccountRecord" in [each["method"] for each in looked]

    # The entry that says so is proven like any other.
    proven = await evenkeel("audit", "prove", "0", "--log", "access", "--to", str(tmp_path))
    assert proven.code == 0, proven.err
    checked = await evenkeel("audit", "check", str(tmp_path / "0.tlog-proof"), str(tmp_path / "0.json"))
    assert checked.code == 0, checked.err

    logs = (await evenkeel("--json", "audit", "logs")).json["logs"]
    assert [log["name"] for log in logs] == ["access", "events", "records"]


async def test_it_is_a_command_of_its_own_too(asked_system):
    status = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "evenkeel"), "status",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "EVENKEEL_PROFILE": str(asked_system.stack.directory / "profile.toml")},
    )  # fmt: skip
    out, _ = await status.communicate()

    assert status.returncode == 0
    assert out.decode().count("SERVING") == 4
