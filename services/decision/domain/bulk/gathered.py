"""A batch laid out in columns, with what leads back from there to the caller's rows."""

from dataclasses import dataclass

from services.decision.domain.bulk.columns import Inputs, Integers


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A batch laid out.

    Attributes:
        chosen: Rows of the accounts that are decided, which `inputs` holds in this order.
        places: Row of the request's instrument of each instrument of `inputs`; `lots` of its lots.
        found: Of every account what is wrong and where, as `gathering.survey` says.
    """

    inputs: Inputs
    chosen: Integers
    places: Integers
    lots: Integers
    found: Integers
