from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple


@dataclass(frozen=True)
class Member:
    """One member of a JSON object: its decoded key, and its value as JSON text."""

    key: str
    value: str


@dataclass(frozen=True)
class Outputs:
    """The eleven output variables of the block, by the fields of its WIT record. What is absent is ``None``.

    JSON text is exactly as the service sent it; ``json.loads`` keeps the digits of an integer, but not of every
    decimal number.
    """

    #: The server-assigned name; the requested relative name where the answer has none. To poll again, use the input.
    name: str
    #: Whether the operation is over. It says nothing about success.
    done: bool
    #: JSON text: the whole ``google.rpc.Status`` of an operation that failed or was cancelled. Zero-touch operations
    #: never set it.
    error: Optional[str]
    #: A ``google.rpc.Code``. Set exactly when ``error`` is; 0 where omitted.
    error_code: Optional[int]
    #: Set exactly when ``error`` is; empty where omitted.
    error_message: Optional[str]
    #: JSON text of each detail of the error, by position.
    error_details: Tuple[str, ...]
    #: For each detail, at the same position, its members, ``@type`` among them.
    error_details_custom_key_value: Tuple[Tuple[Member, ...], ...]
    #: JSON text: what the service tells about the operation, such as progress and times.
    metadata: Optional[str]
    #: The members of ``metadata`` in the order of the answer; empty for an absent object too.
    metadata_custom_key_value: Tuple[Member, ...]
    #: JSON text: the result of an operation that succeeded.
    response: Optional[str]
    #: The members of ``response`` in the order of the answer; empty for an absent object too.
    response_custom_key_value: Tuple[Member, ...]


def outputs(record: Any) -> Outputs:
    """From the record as wasmtime gives it, with the names of WIT."""
    fields = vars(record)
    return Outputs(
        name=fields["name"],
        done=fields["done"],
        error=fields["error"],
        error_code=fields["error-code"],
        error_message=fields["error-message"],
        error_details=tuple(fields["error-details"]),
        error_details_custom_key_value=tuple(map(_members, fields["error-details-custom-key-value"])),
        metadata=fields["metadata"],
        metadata_custom_key_value=_members(fields["metadata-custom-key-value"]),
        response=fields["response"],
        response_custom_key_value=_members(fields["response-custom-key-value"]),
    )


def _members(records: List[Any]) -> Tuple[Member, ...]:
    return tuple(Member(record.key, record.value) for record in records)
