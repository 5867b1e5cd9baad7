"""Days of the calendar by their numbers, compiled."""

from services.decision.domain.tax.batch.whole import compiled


@compiled
def civil(ordinal: int) -> tuple[int, int, int]:
    """Return year, month and day of a day by its number, as `date.toordinal` counts.

    The days of 400 years repeat (Hinnant, chrono-compatible low-level date algorithms, `civil_from_days`).
    """
    days = ordinal + 305
    era = days // 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (1 if month <= 2 else 0), month, day


@compiled
def ordinal(year: int, month: int, day: int) -> int:
    """Return the number of a day, as `date.toordinal` counts (`days_from_civil`, as above)."""
    shifted_year = year - (1 if month <= 2 else 0)
    era = shifted_year // 400
    year_of_era = shifted_year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year
    return era * 146_097 + of_era - 305


@compiled
def long_from(held_from: int) -> int:
    """Return the first day on which units held from `held_from` are long-term: as `united_states.long_term_from`."""
    year, month, day = civil(held_from + 1)
    if month == 2 and day == 29:
        return ordinal(year + 1, 3, 1)
    return ordinal(year + 1, month, day)
