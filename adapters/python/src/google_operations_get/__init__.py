"""Gets the latest state of a long-running operation (``google.longrunning.Operation``, AIP-151)."""

from ._failure import Failure, PermanentFailure, ServiceError, TransientFailure
from ._get import get, get_async
from ._outputs import Member, Outputs
from ._settings import Settings

__all__ = [
    "Failure",
    "Member",
    "Outputs",
    "PermanentFailure",
    "ServiceError",
    "Settings",
    "TransientFailure",
    "get",
    "get_async",
]
