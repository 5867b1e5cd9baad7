"""Lines of each country's computation through the service, worked by hand, each with its law."""

from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb

CURRENCIES = {"united_states": "USD", "united_kingdom": "GBP", "canada": "CAD", "germany": "EUR"}


def number(value):
    return {"value": str(value)}


def filing(status="SINGLE", **facts):
    return {"filing_status": f"FILING_STATUS_{status}", **{name: number(value) for name, value in facts.items()}}


def request_of(country, facts, year, gains):
    """A year that realizes each (day, gain), of assets of their own that were bought in 2015 for 100,000."""

    def day(text):
        return dict(zip(("year", "month", "day"), map(int, text.split("-")), strict=True))

    def row(place, on):
        return {"account_id": "A", "asset": f"ASSET{place}", "quantity": number(1), "date": day(on)}

    money = {"currency_code": CURRENCIES[country]}
    tree = {
        "tax_year": year,
        country: facts,
        "accounts": [{"account_id": "A", "owner": "OWNER_TAXPAYER"}],
        "acquisitions": [
            {"lot_id": f"l{place}", **row(place, "2015-06-01"), "cost": {**money, "units": "100000"}}
            for place, _ in enumerate(gains)
        ],
        "disposals": [
            {"disposal_id": f"s{place}", **row(place, on), "proceeds": {**money, "units": str(100_000 + gain)}}
            for place, (on, gain) in enumerate(gains)
        ],
    }
    return ParseDict(tree, pb.PreviewTaxYearRequest())


CASES = {
    # 26 U.S.C. § 1411: 3.8 % of what 180,000 and 30,000 are above 200,000; 15 % of the gain.
    "net investment income": (
        "united_states", filing(ordinary_income=180_000), 2025, [("2025-03-03", 30_000)],
        {"net_investment_income_tax": "380", "income_tax": "4500", "tax": "4880"}, "§ 1411",
    ),
    # § 1(h): of 20,000 above 36,700, 8,350 are above 48,350.
    "the zero bracket": (
        "united_states", filing(ordinary_income=36_700), 2025, [("2025-03-03", 20_000)],
        {"income_tax": "1252.5", "tax": "1252.5"}, "§ 1(h)",
    ),
    # § 1211(b): half of 3,000, at 22 %; § 1212(b): the rest goes on.
    "the married who file separately": (
        "united_states", filing("MARRIED_SEPARATE", ordinary_income=60_000), 2025, [("2025-03-03", -10_000)],
        {"loss_deducted": "1500", "long_term_carried_forward": "8500", "tax": "-330"}, "§ 1211(b)",
    ),
    "a state": (
        "united_states", filing(ordinary_income=100_000, state_rate="0.05"), 2025, [("2025-03-03", 1000)],
        {"state_tax": "50", "tax": "200"}, "state",
    ),
    # TCGA 1992 s. 1K(5): the exempt amount comes first.
    "losses of earlier years": (
        "united_kingdom", {"losses_brought_forward": number(10_000)}, 2025, [("2025-05-01", 5000)],
        {"losses_brought_forward_used": "2000", "annual_exempt_amount_used": "3000",
         "losses_carried_forward": "8000", "tax": "0"}, "s. 1K",
    ),
    # 3,000 off the later gain: 7,000 at 24 % and 10,000 at 20 %.
    "rates by date": (
        "united_kingdom", {"taxable_income": number(50_000)}, 2024, [("2024-10-29", 10_000), ("2024-10-30", 10_000)],
        {"tax": "3680"}, "s. 1H",
    ),
    # 7,700 of the basic rate band are left: at 18 %, and 9,300 at 24 %.
    "the basic rate band": (
        "united_kingdom", {"taxable_income": number(30_000), "scottish_taxpayer": True}, 2025, [("2025-05-01", 20_000)],
        {"tax": "3618"}, "s. 1I",
    ),
    # ITA s. 38(a), s. 111(1)(b).
    "inclusion and net losses": (
        "canada", {"marginal_rate": number("0.40"), "net_losses_brought_forward": number(1000)}, 2025,
        [("2025-05-01", 10_000)], {"net_taxable_gain": "5000", "net_losses_used": "1000", "tax": "1600"}, "s. 111",
    ),
    # EStG § 32d Abs. 1 Satz 4: 4,090 above the allowance make 1,000; SolzG § 4; 9 % to the church.
    "church tax": (
        "germany", {"church_rate": number("0.09")}, 2024, [("2024-05-02", 5090)],
        {"allowance_used": "1000", "income_tax": "1000", "solidarity_surcharge": "55", "church_tax": "90",
         "tax": "1145"}, "SolzG § 4",
    ),
    # EStG § 20 Abs. 6 Satz 4: a loss on shares meets no other gain; of 1,500 above the allowance 25 %, 5.5 % of that.
    "loss pots": (
        "germany", {"assets": [{"asset": "ASSET0", "kind": "ASSET_KIND_SHARE"}]}, 2024,
        [("2024-05-02", -3000), ("2024-05-02", 2500)],
        {"share_losses_carried_forward": "3000", "taxable_income": "1500", "income_tax": "375",
         "solidarity_surcharge": "20.62", "tax": "395.62"}, "§ 20 Abs. 6",
    ),
}  # fmt: skip


async def test_each_line_comes_out_of_the_service_as_worked_by_hand(service):
    taxes = service.taxes()
    for name, (country, facts, year, gains, expected, law) in CASES.items():
        got = await taxes.PreviewTaxYear(request_of(country, facts, year, gains))
        shown = {line.name: line.amount.value for line in got.lines}
        assert {line: shown[line] for line in expected} == expected, name
        assert any(law in line.source for line in got.lines if line.name in expected), name
