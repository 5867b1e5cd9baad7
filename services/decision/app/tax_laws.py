"""Keeps the amounts of tax law: proposed by one person, reviewed by another, and never forgotten."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from services.decision.domain.tax.laws import (
    LAWS,
    LawBook,
    LawHorizon,
    LawNotFound,
    LawState,
    LawVersion,
    law_book,
    proposed_amounts,
    reviewed,
    years_of,
)
from services.kernel.clock import Clock
from services.kernel.errors import Invalid
from services.kernel.events import Event


class TaxLaws(Protocol):
    """The versions on record; the release's own are none of them."""

    async def versions(self) -> Sequence[LawVersion]:
        """Return every version, by country, year and number."""
        ...

    async def lock(self) -> None:
        """Let nobody else propose or review before this transaction ends."""
        ...

    async def add(self, version: LawVersion) -> None:
        """Keep a new version."""
        ...

    async def review(self, version: LawVersion) -> None:
        """Keep what was decided about a version.

        Raises:
            Conflict: Somebody decided about it meanwhile.
        """
        ...


@dataclass(frozen=True, slots=True)
class TaxLawWriting:
    """One database transaction, to write in."""

    laws: TaxLaws
    emit: Callable[[Sequence[Event]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class TaxLawApp:
    """Lists, proposes and reviews versions of law."""

    clock: Clock
    begin: Callable[[], AbstractAsyncContextManager[TaxLawWriting]]

    async def listed(self, jurisdiction: str, tax_year: int) -> tuple[Sequence[LawVersion], LawBook]:
        """Return the versions of a country, all when empty, and of a tax year, all when 0; and what is in force."""
        async with self.begin() as session:
            versions = await session.laws.versions()
        found = [
            each
            for each in years_of(versions)
            if jurisdiction in ("", each.jurisdiction) and tax_year in (0, each.tax_year)
        ]
        return found, law_book(versions)

    async def horizons(self) -> tuple[Sequence[LawHorizon], date]:
        """Return until when taxed accounts are planned, by country, and today's date."""
        async with self.begin() as session:
            book, today = law_book(await session.laws.versions()), self.clock.now().date()
        return book.horizons(today), today

    async def propose(
        self, jurisdiction: str, tax_year: int, changes: Mapping[str, Decimal], source: str, author: str
    ) -> LawVersion:
        """Keep a proposed version. It changes nothing until somebody else approves it.

        Raises:
            Invalid: The country is none of those whose law is here, its year does not follow, or an amount cannot be.
        """
        law = LAWS.get(jurisdiction)
        if law is None:
            description = f"must be one of {', '.join(sorted(LAWS))}, was {jurisdiction}"
            raise Invalid.of("jurisdiction", description)
        async with self.begin() as session:
            await session.laws.lock()
            versions = await session.laws.versions()
            amounts = proposed_amounts(law, tax_year, changes, law_book(versions))
            of_year = [each for each in versions if (each.jurisdiction, each.tax_year) == (jurisdiction, tax_year)]
            version = LawVersion(
                jurisdiction,
                tax_year,
                len(of_year) + 1,
                LawState.PROPOSED,
                amounts,
                source,
                author,
                self.clock.now(),
            )
            await session.laws.add(version)
            await session.emit([_event("proposed", version)])
        return version

    async def review(
        self, jurisdiction: str, tax_year: int, number: int, reviewer: str, *, approved: bool, note: str
    ) -> tuple[LawVersion, LawBook]:
        """Approve or reject a proposed version, and return it with what is in force then.

        Raises:
            LawNotFound: There is no such version.
            LawReviewed: Somebody decided before.
            LawAuthor: The reviewer proposed it.
        """
        async with self.begin() as session:
            await session.laws.lock()
            versions = {
                (each.jurisdiction, each.tax_year, each.version): each for each in await session.laws.versions()
            }
            found = versions.get((jurisdiction, tax_year, number))
            if found is None:
                raise LawNotFound(
                    f"the law of {jurisdiction} {tax_year} has no version {number}",
                    jurisdiction=jurisdiction,
                    tax_year=tax_year,
                    version=number,
                )
            decided = reviewed(found, reviewer, self.clock.now(), approved=approved, note=note)
            await session.laws.review(decided)
            await session.emit([_event("reviewed", decided)])
            versions[jurisdiction, tax_year, number] = decided
        return decided, law_book(versions.values())


def _event(what: str, version: LawVersion) -> Event:
    return Event(
        kind=f"decision.tax.law.{what}",
        subjects={"change": f"tax-law-{version.jurisdiction}-{version.tax_year}-{version.version}"},
        data={
            "jurisdiction": version.jurisdiction,
            "tax_year": version.tax_year,
            "version": version.version,
            "state": version.state.value,
            "amounts": dict(version.amounts),
            "source": version.source,
            "author": version.author,
            "reviewer": version.reviewer,
            "note": version.review_note,
        },
    )
