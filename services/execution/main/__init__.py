"""Builds the execution service from its settings, and serves."""

from services.execution.main.serving import build, main
from services.execution.main.use_cases import build_app
from services.execution.main.workers import repeating

__all__ = ["build", "build_app", "main", "repeating"]
