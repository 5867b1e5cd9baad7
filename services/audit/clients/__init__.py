"""What does the log ask of others? Witnesses to sign what they saw, and clocks what time it is."""

from services.audit.clients.clocks import ClockUnreachable, DatabaseClock, NtpClock
from services.audit.clients.witnesses import HttpWitness

__all__ = ["ClockUnreachable", "DatabaseClock", "HttpWitness", "NtpClock"]
