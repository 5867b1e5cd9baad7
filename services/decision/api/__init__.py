"""Serves the contracts of `evenkeel.decision.v1`: message → values → use case → message."""
