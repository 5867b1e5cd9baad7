"""What year-ends of many taxpayers are asked with, and answered: nothing here computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.fund_years import FundYear
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.currencies import DayRates
from services.decision.domain.tax.events import TaxEvent
from services.decision.domain.tax.laws import LawBook
from services.decision.domain.tax.ledger import LedgerAccount
from services.decision.domain.tax.year_end import YearEnd
from services.kernel.errors import Fact, Invalid


class TaxpayerUnknown(Invalid):
    """Nobody says whose accounts are, or what the law must know of the taxpayer."""

    reason = "TAXPAYER_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Filing:
    """What all taxpayers of a run share, from the first to the last.

    Attributes:
        tax_year: By the year in which it begins.
        day: On which losses are open.
        today: Nothing later has happened, but for what settles later.
        prices: Of one unit of each instrument on `day`.
    """

    tax_year: int
    day: date
    today: date
    prices: Mapping[str, Decimal]
    law: LawBook


@dataclass(frozen=True, slots=True)
class Filer:
    """A taxpayer with what the ledger is derived from, as `ledger_history` takes it.

    Attributes:
        rules: With what is known of the taxpayer.
        kinds: What instruments are to the law, where `rules` do not say another thing.
        rates: For accounts that are kept in another currency than the law's.
        fund_years: Of funds, for Germany's advance lump sums, where `rules` do not say another thing.
    """

    rules: TaxRules
    accounts: Sequence[LedgerAccount]
    events: Sequence[TaxEvent]
    identical: Mapping[str, str]
    identical_from: tuple[tuple[date, Mapping[str, str]], ...]
    kinds: Mapping[str, AssetKind]
    rates: DayRates
    fund_years: tuple[FundYear, ...] = ()


@dataclass(frozen=True, slots=True)
class Filed:
    """A taxpayer's year-end, or why there is none; `differences` counts where ledger and book do not say the same."""

    outcome: YearEnd | Fact
    differences: int = 0
