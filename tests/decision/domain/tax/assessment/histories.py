"""Histories for tests, and the published examples."""

import json
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.decision.domain.tax.assessment.history import Acquisition, Disposal, History, Owner, TaxAccount

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
    ).checked(TODAY)


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
    return rules(
        **{name: Decimal(text) if known[name] is Decimal else known[name](text) for name, text in given.items()}
    )
