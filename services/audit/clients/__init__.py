"""What does the log ask of others, and tell them? Witnesses sign what they saw, clocks say the time, people watch."""

from services.audit.clients.clocks import ClockUnreachable, DatabaseClock, NtpClock
from services.audit.clients.watches import Alarms, Watch, WitnessWatch
from services.audit.clients.witnesses import HttpWitness

__all__ = ["Alarms", "ClockUnreachable", "DatabaseClock", "HttpWitness", "NtpClock", "Watch", "WitnessWatch"]
