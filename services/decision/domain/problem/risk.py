"""The risk model by which deviations are judged, of all instruments together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.kernel.errors import Violations
from services.kernel.ids import InstrumentId


@dataclass(frozen=True, slots=True, eq=False)
class RiskModel:
    """Covariance of yearly returns as F Fᵀ + diag(D).

    Attributes:
        instrument_ids: Order of the rows, each id once.
        exposures: F, shape (n, k), in yearly standard deviations.
        specific_variance: D, shape (n,), yearly, positive.
        source: How it was estimated, in words that name the method.
    """

    instrument_ids: tuple[InstrumentId, ...]
    exposures: NDArray[np.float64]
    specific_variance: NDArray[np.float64]
    source: str

    def __post_init__(self) -> None:
        """Refuse shapes and numbers that cannot be.

        Raises:
            Invalid: With one violation per field that is wrong.
        """
        n = len(self.instrument_ids)
        found = Violations()
        if len(set(self.instrument_ids)) != n:
            found.add("instrument_ids", "must be unique")
        if self.exposures.ndim != 2 or self.exposures.shape[0] != n:
            found.add("exposures", f"must have shape ({n}, k), was {self.exposures.shape}")
        elif not np.isfinite(self.exposures).all():
            found.add("exposures", "must be finite")
        if self.specific_variance.shape != (n,):
            found.add("specific_variance", f"must have shape ({n},), was {self.specific_variance.shape}")
        elif not (np.isfinite(self.specific_variance).all() and (self.specific_variance > 0).all()):
            found.add("specific_variance", "must be finite and positive")
        found.raise_if_any()
