"""Many accounts that a caller brings along, column by column, and what they are answered.

Values only, with nothing that needs compiling: the service reads and writes them, a computing process decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.columns import plain_number
from services.kernel.errors import FieldViolation, Invalid, Rejected

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class BatchInvalid(Invalid):
    """What the accounts of a batch share is wrong."""

    reason = "BATCH_INVALID"


class PlanUnsolved(Rejected):
    """No certified plan was found for an account of a batch; it is said of the account, and refuses nothing."""

    reason = "PLAN_UNSOLVED"


class Units(NamedTuple):
    """A column of exact numbers: row `r` is `units[r] · 10^−scale`."""

    units: Integers
    scale: int

    @property
    def floats(self) -> Floats:
        """The numbers, in floating point."""
        return self.units / 10.0**self.scale

    def said(self, row: int) -> str:
        """Return a number in plain digits."""
        return plain_number(int(self.units[row]), self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A request, column by column; names and meaning are those of the contract's `PreviewBatchRequest`.

    Columns that were left out are empty.
    """

    as_of_date: date
    currency: str
    instrument_ids: Sequence[str]
    accounts: Sequence[str]
    # By name, for instance `positions.quantities`.
    numbers: Mapping[str, Units]
    rows: Mapping[str, Integers]
    flags: Mapping[str, Flags]
    words: Mapping[str, tuple[Sequence[str], Integers]]


@dataclass(frozen=True, slots=True)
class BatchError:
    """What is wrong with an account."""

    row: int
    account_id: str
    reason: str
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class BatchRefused:
    """What is wrong with what accounts share, as a value that crosses processes."""

    message: str
    violations: Sequence[FieldViolation]

    @property
    def fact(self) -> BatchInvalid:
        """The error to raise."""
        return BatchInvalid(self.message, violations=self.violations)


@dataclass(frozen=True, slots=True)
class PackedColumn:
    """A column of an answer, as the content of a packed field; `scale` is None for plain integers."""

    content: bytes
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """The plans, trades and sales of a batch, column by column, and what is wrong with accounts that have none."""

    plans: Mapping[str, PackedColumn]
    trades: Mapping[str, PackedColumn]
    sales: Mapping[str, PackedColumn]
    errors: Sequence[BatchError]
