from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Tuple


@dataclass(frozen=True)
class ServiceError:
    """An error as the service reported it (AIP-193), in its own words."""

    #: A ``google.rpc.Code``.
    code: int
    #: The name of the code, such as ``NOT_FOUND``.
    status: str
    #: The service's message: it may hold any character.
    message: str
    #: JSON text of each detail, by position.
    details: Tuple[str, ...]
    #: JSON text of the whole error object.
    error: str


class Failure(Exception):
    """Why a call gave no outputs: a :class:`PermanentFailure` or a :class:`TransientFailure`."""

    #: The kind of failure, such as ``not-found``.
    reason: str
    #: What happened and what to do about it, in one line without credentials.
    message: str
    #: The HTTP status of the answer. ``None`` where no answer came.
    http_status: Optional[int]
    #: What the service said. ``None`` where its answer held no error object.
    service_error: Optional[ServiceError]
    #: How long the service asks to wait before the next attempt. ``None`` where it asks for nothing.
    retry_after_ms: Optional[int]

    def __init__(
        self,
        reason: str,
        message: str,
        http_status: Optional[int] = None,
        service_error: Optional[ServiceError] = None,
        retry_after_ms: Optional[int] = None,
    ) -> None:
        # All of them, so that a failure can be pickled.
        super().__init__(reason, message, http_status, service_error, retry_after_ms)
        self.reason = reason
        self.message = message
        self.http_status = http_status
        self.service_error = service_error
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class PermanentFailure(Failure):
    """Asking again cannot help until the name, a setting or the access changes."""


class TransientFailure(Failure):
    """Asking again later may help."""


_CASES = {"permanent": PermanentFailure, "transient": TransientFailure}


def failure(variant: Any) -> Failure:
    """From the variant as wasmtime gives it."""
    record = variant.payload
    said = getattr(record, "service-error")
    return _CASES[variant.tag](
        record.reason,
        record.message,
        getattr(record, "http-status"),
        said and ServiceError(said.code, said.status, said.message, tuple(said.details), said.error),
        getattr(record, "retry-after-ms"),
    )
