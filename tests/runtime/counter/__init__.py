"""The smallest service that needs all of the runtime: named counters, which its callers add to."""
