"""Published rebalancing rules and named philosophies, as parameter sets.

A preset is a part of a document and nothing else: authors take it over, change what they like, and have it approved
like anything they wrote. No code asks which preset a document came from.

What a philosophy weighs is in basis points of account value. A tracking variance of 1 a year priced at 50,000 basis
points means that a tracking error of 1 % (a variance of 0.0001) is felt like a cost of 5 basis points a year.
"""

from dataclasses import dataclass
from decimal import Decimal

from services.policy.domain.document import Bands, CostSettings, Document, Objective, TaxSettings, Triggers
from services.policy.domain.mixes import Combine, Distance
from services.policy.domain.risk_limits import RiskLimits


@dataclass(frozen=True, slots=True)
class Preset:
    """A part of a document with a name; `source` says where the rule was published, empty for our own."""

    name: str
    description: str
    document: Document
    source: str = ""


def _bands(trigger: Distance, destination: Distance) -> Document:
    return Document(bands=Bands(trigger, destination), triggers=Triggers(drift=True))


def _philosophy(name: str, variance_price: int, excess_price: int, tax: str, cost: str) -> Objective:
    return Objective(
        tracking_variance_price_bps=Decimal(variance_price),
        band_excess_price_bps=Decimal(excess_price),
        tax_importance=Decimal(tax),
        cost_importance=Decimal(cost),
        horizon_years=Decimal(1),
        philosophy=name,
    )


PRESETS: tuple[Preset, ...] = (
    Preset(
        "balanced",
        "Philosophy: deviation, tax and trading cost all count in full.",
        Document(objective=_philosophy("balanced", 50_000, 1_000, "1", "1")),
    ),
    Preset(
        "cost-first",
        "Philosophy: trades little. Deviation weighs a fifth of balanced, and a plan turns over at most a fifth.",
        Document(
            objective=_philosophy("cost", 10_000, 200, "1", "1"), cost=CostSettings(turnover_limit=Decimal("0.2"))
        ),
    ),
    Preset(
        "daryanani-20-10",
        "Bands: outside 20 % of the target is traded back to the nearer edge of half that band. To be looked at often.",
        _bands(Distance(relative=Decimal("0.2")), Distance(relative=Decimal("0.1"))),
        "G. Daryanani, Opportunistic Rebalancing, Journal of Financial Planning, January 2008",
    ),
    Preset(
        "hybrid-20-1",
        "Bands: outside the larger of 20 % of the target and 1 % of the account is traded back half way.",
        _bands(Distance(Decimal("0.01"), Decimal("0.2")), Distance(Decimal("0.005"), Decimal("0.1"))),
    ),
    Preset(
        "swedroe-5-25",
        "Bands: outside 5 % of the account or 25 % of the target, whichever is less, is traded back to the target.",
        _bands(Distance(Decimal("0.05"), Decimal("0.25"), Combine.SMALLER), Distance(Decimal(0))),
        "L. Swedroe, The Only Guide to a Winning Investment Strategy You'll Ever Need, 2005",
    ),
    Preset(
        "tax-first",
        "Philosophy: defers gains and takes losses. Deviation weighs a fifth of balanced, tax in full.",
        Document(objective=_philosophy("tax", 10_000, 200, "1", "1"), tax=TaxSettings(harvest_losses=True)),
    ),
    Preset(
        "vanguard-200-175",
        "Bands: outside 200 basis points of the account is traded back to 175 basis points from the target.",
        _bands(Distance(Decimal("0.02")), Distance(Decimal("0.0175"))),
        "Vanguard Research, The Rebalancing Edge: Optimizing Target-Date Fund Rebalancing Through Threshold-Based "
        "Strategies, December 2024",
    ),
    Preset(
        "volatility-target",
        "Philosophy: keeps risk near its target. Deviation weighs four times balanced; plans above 10 % volatility or "
        "2 % tracking error wait for a person.",
        Document(
            objective=_philosophy("volatility target", 200_000, 4_000, "1", "1"),
            risk=RiskLimits(volatility_limit=Decimal("0.1"), tracking_error_limit=Decimal("0.02")),
        ),
    ),
)
"""All presets, by name."""
