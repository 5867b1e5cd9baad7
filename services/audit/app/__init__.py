"""What can be asked of the log, and what does each question need?"""

from services.audit.app.audit import AuditApp, EntryPage, Growing, InclusionProof, Proof
from services.audit.app.ports import Elect, LogReader, LogWriter, Observer
from services.audit.app.scrubber import LogContents, Scrubber, ScrubReport, scrub
from services.audit.app.sequencer import Appended, Sequencer

__all__ = [
    "Appended",
    "AuditApp",
    "Elect",
    "EntryPage",
    "Growing",
    "InclusionProof",
    "LogContents",
    "LogReader",
    "LogWriter",
    "Observer",
    "Proof",
    "ScrubReport",
    "Scrubber",
    "Sequencer",
    "scrub",
]
