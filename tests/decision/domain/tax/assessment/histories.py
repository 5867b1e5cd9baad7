"""Histories for tests, and the published examples."""

import json
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.fund_years import FundYear
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    Disposal,
    Gift,
    Giver,
    History,
    Owner,
    Receipt,
    Recipient,
    Reorganization,
    Split,
    TaxAccount,
)

VECTORS = Path(__file__).parents[4] / "vectors" / "tax"
TODAY = date(2026, 11, 28)
ASSET = "ACME"


def examples(name: str) -> list[Any]:
    return json.loads((VECTORS / f"{name}.json").read_text())


def history_of(example: dict[str, Any]) -> History:
    accounts = example.get("accounts", [["A", "TAXPAYER", False]])
    return History(
        accounts=tuple(TaxAccount(account, Owner(owner), sheltered) for account, owner, sheltered in accounts),
        acquisitions=tuple(bought(*row) for row in example["bought"]),
        disposals=tuple(sold(*row) for row in example["sold"]),
        gifts=tuple(_given(*row) for row in example.get("given", ())),
        receipts=tuple(_received(*row) for row in example.get("received", ())),
        reorganizations=tuple(_merged(*row) for row in example.get("merged", ())),
        splits=tuple(_split(*row) for row in example.get("splits", ())),
    ).checked(TODAY)


def _given(gift: str, day: str, account: str, quantity: str, value: str, recipient: str) -> Gift:
    said = gift, date.fromisoformat(day), account, ASSET, Decimal(quantity), Decimal(value)
    return Gift(*said, Recipient(recipient))


def _received(
    lot: str, day: str, account: str, quantity: str, value: str, giver: str, cost: str, since: str
) -> Receipt:
    said = lot, date.fromisoformat(day), account, ASSET, Decimal(quantity), Decimal(value), Giver(giver)
    return Receipt(*said, Decimal(cost), date.fromisoformat(since))


def _split(day: str, new_units: str, old_units: str) -> Split:
    return Split(date.fromisoformat(day), ASSET, int(new_units), int(old_units))


def _merged(
    day: str, asset: str, new_asset: str, new_units: str, old_units: str, money: str, new_value: str
) -> Reorganization:
    said = date.fromisoformat(day), asset, new_asset, int(new_units), int(old_units), Decimal(1)
    return Reorganization(*said, Decimal(money), Decimal(new_value))


def bought(lot: str, day: str, account: str, quantity: str, cost: str, asset: str = ASSET) -> Acquisition:
    return Acquisition(lot, date.fromisoformat(day), account, asset, Decimal(quantity), Decimal(cost))


def sold(
    disposal: str, day: str, account: str, quantity: str, proceeds: str, lots: tuple[str, ...] = (), asset: str = ASSET
) -> Disposal:
    return Disposal(
        disposal, date.fromisoformat(day), account, asset, Decimal(quantity), Decimal(proceeds), tuple(lots)
    )


def facts_of(example: dict[str, Any], rules: type) -> Any:
    """Return the rules with the example's facts about the taxpayer."""
    known = {each.name: each.type for each in fields(rules)}
    given = example.get("facts", {})
    if "assets" in example:
        return rules(
            kinds={asset: AssetKind(kind) for asset, kind in example["assets"].items()},
            fund_years=tuple(
                FundYear(asset, year, *map(Decimal, amounts)) for asset, year, *amounts in example["fund_years"]
            ),
        )
    return rules(
        **{name: Decimal(text) if known[name] is Decimal else known[name](text) for name, text in given.items()}
    )
