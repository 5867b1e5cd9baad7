"""Something that can be held, and the currencies it may be priced in."""

import re
from dataclasses import dataclass
from decimal import Decimal

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.fund_years import FundYear
from services.decision.domain.problem import QUANTITY_DECIMALS_MAX
from services.kernel.errors import Invalid
from services.kernel.ids import InstrumentId

# What the contracts allow as id of an account, household, instrument or lot.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
ID_RULE = "must be 1 to 64 letters, digits, dots, underscores, colons or hyphens"

FINEST_INCREMENT = Decimal(1).scaleb(-QUANTITY_DECIMALS_MAX)

# ISO 4217, the currencies of countries whose accounts are kept in hundredths or whole units. Those with three decimals
# (BHD, IQD, JOD, KWD, LYD, OMR, TND) are left out: money here is in whole cents.
_CODES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC
    CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
    ISK JMD JPY KES KGS KHR KMF KPW KRW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR
    MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD
    SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""
CURRENCIES = frozenset(_CODES.split())


class InstrumentUnknown(Invalid):
    """Something names an instrument that is not known."""

    reason = "INSTRUMENT_UNKNOWN"


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that can be held.

    Attributes:
        currency: Of its price, ISO 4217.
        asset_class: For instance `equity`; empty when not said.
        issuer: Instruments of one issuer count together; empty when not said.
        quantity_increment: Smallest step of a quantity: 1 for whole shares, 0.000000001 at the finest.
        identity_set: Instruments of one set are substantially identical for wash sales; its own id when not said.
        tradable: False for what is only counted.
        asset_kind: What it is to tax laws that ask.
        fund_years: Of a fund, for Germany's advance lump sums, by year; one that is missing has none.
    """

    instrument_id: InstrumentId
    currency: str
    quantity_increment: Decimal
    asset_class: str = ""
    issuer: str = ""
    identity_set: str = ""
    tradable: bool = True
    asset_kind: AssetKind = AssetKind.OTHER
    fund_years: tuple[FundYear, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be traded in steps, and let an instrument without a set be its own.

        Raises:
            ValueError: The increment is not above 0 or is finer than nine decimals.
        """
        if not self.quantity_increment.is_finite() or self.quantity_increment <= 0:
            raise ValueError(f"quantity_increment must be above 0, was {self.quantity_increment}")
        if self.quantity_increment % FINEST_INCREMENT != 0:
            raise ValueError(
                f"quantity_increment must have at most {QUANTITY_DECIMALS_MAX} decimals, was {self.quantity_increment}"
            )
        if not self.identity_set:
            object.__setattr__(self, "identity_set", str(self.instrument_id))
