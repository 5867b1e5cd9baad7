"""When is an account's ledger worked out anew before it is planned?

What is recorded of an account itself lets its household stand at once. Beside that its standing depends on the tax
year, on the law of the years until then, and on what happened to instruments and so to every account. Whether it stands
or no ledger of it can be made, the day and the law are remembered, so that the same is not tried over and over; what
went wrong is tried again once a day, because a policy, an instrument or the household may have changed since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from services.decision.domain.tax.assessment.history import Reorganization
from services.decision.domain.tax.events import TaxEvent
from services.decision.domain.tax.laws import Law, LawBook

# Remembered of an account whose standing is out of date.
OUT_OF_DATE = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """What is known of an account whose whole history is on record.

    Attributes:
        currency: In which it is kept.
        stands_in: Tax year of its standing; None when it never stood.
        day: Until which its ledger was last worked out, or found to be none; None when nobody said.
        by: By what, as `by_law` says, or `OUT_OF_DATE`; None when nobody said.
    """

    currency: str
    stands_in: int | None
    day: date | None
    by: str | None


def by_law(law: Law, book: LawBook, day: date) -> str:
    """Return by what a ledger is worked out on a day: the tax year, and the versions of the law that were reviewed."""
    versions = (f"{year}.{version}" for (code, year), version in sorted(book.versions.items()) if code == law.code)
    return " ".join((law.code, str(law.planning.tax_year(day)), *versions))


def is_due(tried: Tried, year: int, by: str, day: date) -> bool:
    """Return whether an account is brought to a day of the tax year `year`, by `by`."""
    stood = tried.stands_in
    if (stood is not None and stood > year) or (tried.day is not None and tried.day > day):
        # Looking back changes nothing.
        return False
    behind = stood is None or stood < year
    if tried.by is None or tried.day is None:
        return behind or tried.by == OUT_OF_DATE
    return tried.by != by or (behind and tried.day < day)


def concerned(changed: Iterable[TaxEvent], counting: Iterable[TaxEvent]) -> frozenset[str]:
    """Return the instruments whose holders' ledgers may change by what happened to instruments.

    Args:
        changed: What was recorded or withdrawn.
        counting: Everything that counts and happened to every account: of what became an instrument that is concerned,
            the holders are concerned too.
    """
    names: set[str] = set()
    for each in changed:
        if each.account_id is None:
            names.add(each.row.asset)
            if isinstance(each.row, Reorganization):
                names.add(each.row.new_asset)
    became = [(each.row.asset, each.row.new_asset) for each in counting if isinstance(each.row, Reorganization)]
    while more := {old for old, new in became if new in names and old not in names}:
        names |= more
    return frozenset(names)
