"""What do callers say to the log, and what does it answer?"""

from services.audit.api.servicer import AuditServicer

__all__ = ["AuditServicer"]
