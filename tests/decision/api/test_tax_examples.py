"""What the authorities publish comes out as published through the running service, each piece with its law."""

from decimal import Decimal

import pytest
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.tax.laws import LAWS
from tests.decision.domain.tax.assessment.histories import ASSET, examples
from tests.decision.domain.tax.assessment.test_published_examples import WHOLE, WHOLE_TWICE, WHOLE_UP

COUNTRIES = {
    "united_kingdom": ("GB", "GBP"),
    "united_states": ("US", "USD"),
    "canada": ("CA", "CAD"),
    "germany": ("DE", "EUR"),
}
ALONE = [["A", "TAXPAYER", False]]


def day(text):
    year, month, number = map(int, text.split("-"))
    return {"year": year, "month": month, "day": number}


def number(text):
    return {"value": text}


def facts(country, example):
    said = example.get("facts", {})
    status = said.get("filing_status", "SINGLE")
    fields = {name: number(text) for name, text in said.items() if name != "filing_status"}
    if country == "united_states":
        fields["filing_status"] = f"FILING_STATUS_{status}"
    if country == "germany":
        fields["assets"] = [{"asset": asset, "kind": f"ASSET_KIND_{kind}"} for asset, kind in example["assets"].items()]
        fields["fund_years"] = [
            {"asset": asset, "year": year, "first_price": number(first), "last_price": number(last),
             "distributed": number(distributed)}
            for asset, year, first, last, distributed in example["fund_years"]
        ]  # fmt: skip
    return fields


def request_of(country, currency, example):
    """Return the example as the call that asks for its year."""

    def money(text):
        units, _, rest = text.partition(".")
        return {"currency_code": currency, "units": units or "0", "nanos": int(rest.ljust(9, "0") or 0)}

    def row(on, account, quantity):
        return {"date": day(on), "account_id": account, "asset": ASSET, "quantity": number(quantity)}

    tree = {
        "tax_year": example["tax_year"],
        country: facts(country, example),
        "accounts": [
            {"account_id": account, "owner": f"OWNER_{owner}", "sheltered": sheltered}
            for account, owner, sheltered in example.get("accounts", ALONE)
        ],
        "acquisitions": [
            {"lot_id": lot, **row(on, account, units), "cost": money(cost)}
            for lot, on, account, units, cost in example["bought"]
        ],
        "disposals": [
            {"disposal_id": sale, **row(on, account, units), "proceeds": money(proceeds), "lot_ids": [*named, []][0]}
            for sale, on, account, units, proceeds, *named in example["sold"]
        ],
        "gifts": [
            {"gift_id": gift, **row(on, account, units), "value": money(worth), "recipient": f"TAX_RECIPIENT_{to}"}
            for gift, on, account, units, worth, to in example.get("given", ())
        ],
        "receipts": [
            {"lot_id": lot, **row(on, account, units), "value": money(worth), "giver": f"TAX_GIVER_{giver}",
             "giver_cost": money(cost), "giver_date": day(since)}
            for lot, on, account, units, worth, giver, cost, since in example.get("received", ())
        ],
        "reorganizations": [
            {"date": day(on), "asset": asset, "new_asset": new, "new_units": int(new_units), "old_units": int(old),
             "cost_part": number("1"), "money": money(paid), "new_value": money(worth)}
            for on, asset, new, new_units, old, paid, worth in example.get("merged", ())
        ],
        "splits": [
            {"date": day(on), "asset": ASSET, "new_units": int(new_units), "old_units": int(old)}
            for on, new_units, old in example.get("splits", ())
        ],
    }  # fmt: skip
    return ParseDict(tree, pb.PreviewTaxYearRequest())


@pytest.mark.parametrize("country", COUNTRIES)
async def test_what_is_published_comes_out_of_the_service_with_its_law(service, country):
    taxes = service.taxes()
    code, currency = COUNTRIES[country]
    for example in examples(country):
        request = request_of(country, currency, example)
        got = await taxes.PreviewTaxYear(request)
        assert (got.jurisdiction, got.currency_code) == (code, currency)
        expected, name = checked(example), example["name"]
        # An answer has the disposals of its own year.
        disposals = list(got.disposals)
        for request.tax_year in years_of(country, example) - {example["tax_year"]}:
            disposals += (await taxes.PreviewTaxYear(request)).disposals
        shown = found(got, disposals, example)
        expected = {key: value for key, value in expected.items() if key not in before_any_law(country, example)}
        assert shown.keys() == expected.keys(), name
        within = {None: Decimal(0), True: WHOLE, "up": WHOLE_UP}[example.get("whole")]
        for key, value in expected.items():
            allowed = WHOLE_TWICE if within and key == "remaining_cost" else within if key[0] == "gain" else Decimal(0)
            assert abs(shown[key] - value) <= allowed, f"{name}: {key}"
        assert all(piece.source for each in disposals for piece in each.pieces), name
        assert all(line.source for line in got.lines), name


def checked(example):
    """Return what the source says, by what it is about."""
    said = {("gain", key): value for key, value in example["gains"].items()}
    said |= {("disallowed", key): value for key, value in example.get("disallowed", {}).items()}
    said |= {("lot", key): value for key, value in example.get("lot_cost", {}).items()}
    said |= {("account", key): value for key, value in example.get("account_cost", {}).items()}
    said |= {("line", key): value for key, value in example.get("lines", {}).items()}
    said |= {key: example[key] for key in ("remaining_cost", "remaining_units") if key in example}
    return {key: Decimal(value) for key, value in {**said, "lost": example.get("lost", "0")}.items()}


def days_of(example):
    """Return the day of each gain that an example tells."""
    days = {key: on for rows in ("sold", "given") for key, on, *_ in example.get(rows, ())}
    return {key: days.get(key, key) for key in example["gains"]}


def tax_year(country, on):
    """Return the tax year of a day; the British one begins on 6 April."""
    return int(on[:4]) - (country == "united_kingdom" and on[5:] < "04-06")


def years_of(country, example):
    """Return the tax years of an example's gains that have a law here."""
    years = {tax_year(country, on) for on in days_of(example).values()}
    return {each for each in years if each in LAWS[COUNTRIES[country][0]].table.years}


def before_any_law(country, example):
    """Return what cannot be asked for: gains of tax years that have no law here."""
    known = years_of(country, example)
    late = [key for key, on in days_of(example).items() if tax_year(country, on) not in known]
    return {(what, key) for key in late for what in ("gain", "disallowed")}


def keys(disposal):
    """Return what an example calls a disposal by: its ids, or its day."""
    on = disposal.date
    return (*disposal.disposal_ids, f"{on.year}-{on.month:02}-{on.day:02}")


def found(got, disposals, example):
    """Return what the service says of the same."""
    gains, denied = {}, {}
    for each in disposals:
        for key in keys(each):
            gains[key] = Decimal(each.counted_gain.value)
            denied[key] = sum(Decimal(piece.disallowed_loss.value) for piece in each.pieces)
    left = [(each.lot_id, each.account_id, Decimal(each.cost.value)) for each in got.remaining]
    lines = {line.name: Decimal(line.amount.value) for line in got.lines}
    shown = {("gain", key): gains[key] for key in example["gains"] if key in gains}
    shown |= {("disallowed", key): denied[key] for key in example.get("disallowed", {}) if key in denied}
    shown |= {("lot", key): sum(c for lot, _, c in left if lot == key) for key in example.get("lot_cost", {})}
    shown |= {("account", key): sum(c for _, own, c in left if own == key) for key in example.get("account_cost", {})}
    shown |= {("line", key): lines[key] for key in example.get("lines", {})}
    if "remaining_cost" in example:
        shown["remaining_cost"] = sum(cost for *_, cost in left)
    if "remaining_units" in example:
        shown["remaining_units"] = sum(Decimal(each.quantity.value) for each in got.remaining)
    return {**shown, "lost": Decimal(got.permanently_lost.value)}
