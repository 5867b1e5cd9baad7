"""Works out what a history of trades comes to under the tax law of a country. Keeps nothing."""

import asyncio
from dataclasses import dataclass

from services.decision.domain.tax.assessment.history import History
from services.decision.domain.tax.assessment.results import Assessment, TaxRules
from services.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class TaxApp:
    """Assesses histories. `clock` is the computer's, also beside a market that is replayed."""

    clock: Clock

    async def preview_year(self, rules: TaxRules, history: History, tax_year: int) -> Assessment:
        """Return what `history` comes to in `tax_year` by `rules`.

        Raises:
            Invalid: A value of the history cannot be.
            TaxYearUnknown: There are no rules for that year.
            SoldMoreThanHeld: The history sells what it never bought.
        """
        today = self.clock.now().date()
        return await asyncio.to_thread(lambda: rules.assess(history.checked(today), tax_year))
