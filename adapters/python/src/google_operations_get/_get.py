from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, List, Tuple

from wasmtime import WasmtimeError

from ._block import block, own_process
from ._outputs import Outputs
from ._settings import Settings, environment

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: How many calls of ``get_async`` are with a service at once; the others wait their turn.
MOST_CALLS = 64


def get(name: str, **settings: Unpack[Settings]) -> Outputs:
    """Gets the latest state of a long-running operation. Blocks its thread until the answer is there.

    Raises ``PermanentFailure`` or ``TransientFailure`` where the call failed. An operation that failed is no failed
    call: its ``error`` is set.
    """
    return _call(name, _checked(name, settings))


async def get_async(name: str, **settings: Unpack[Settings]) -> Outputs:
    """``get`` in a thread. A task that is cancelled ends at once; its thread ends with the call's own deadline."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _call, name, _checked(name, settings))


def _checked(name: str, settings: Settings) -> List[Tuple[str, str]]:
    if not isinstance(name, str):
        raise TypeError(f"the name of an operation is a str, not {type(name).__name__}")
    variables = environment(settings)
    own_process()
    return variables


def _call(name: str, variables: List[Tuple[str, str]]) -> Outputs:
    try:
        return block().call(name, variables)
    except WasmtimeError as error:
        # A trap, or memory over the limit. What wasmtime says of it is for the block's authors.
        raise RuntimeError("the block did not finish: it trapped or ran over a limit of the host") from error


@lru_cache(maxsize=None)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="google-operations-get")
