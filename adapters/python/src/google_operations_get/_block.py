"""The component in wasmtime: compiled once per process, a fresh instance for every call."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, List, Optional, Tuple

from wasmtime import Engine, Store, WasiConfig
from wasmtime.component import Component, ExportIndex, Linker, Variant

from ._failure import failure
from ._outputs import Outputs, outputs

COMPONENT = Path(__file__).with_name("operations_get.wasm")
INTERFACE = "blocks:google-longrunning/operations@1.0.0"

#: What one call may take.
MOST_MEMORY = 512 * 2**20


class Block:
    def __init__(self) -> None:
        self._engine = Engine()
        self._component = Component.from_file(self._engine, COMPONENT)
        self._linker = Linker(self._engine)
        # Sockets and files are linked, and the block imports neither; it is given no folder.
        self._linker.add_wasip2()
        self._linker.add_wasi_http()
        self._get = self._export("get", self._export(INTERFACE))

    def _export(self, name: str, instance: ExportIndex | None = None) -> ExportIndex:
        index = self._component.get_export_index(name, instance)
        if index is None:
            raise RuntimeError(f"{COMPONENT} does not export {name}: it is another component")
        return index

    def call(self, name: str, environment: List[Tuple[str, str]]) -> Outputs:
        """One call, in this thread, which waits without the interpreter's lock."""
        with Store(self._engine) as store, WasiConfig() as config:
            config.env = environment
            store.set_limits(memory_size=MOST_MEMORY)
            store.set_wasi(config)
            store.set_wasi_http()
            instance = self._linker.instantiate(store, self._component)
            get = instance.get_func(store, self._get)
            assert get is not None
            result: Any = get(store, name)
        # ok is the bare record, err the bare variant.
        if not isinstance(result, Variant):
            return outputs(result)
        if result.payload is None:
            raise RuntimeError(f"the block did not finish: it returned {result.tag}")
        raise failure(result)


#: The process whose calls wasmtime runs.
_process: Optional[int] = None
_lock = threading.Lock()


def own_process() -> None:
    """wasmtime's threads are not there in a fork, where a call would wait for them for ever."""
    global _process
    if _process is None:
        _process = os.getpid()
    elif _process != os.getpid():
        raise RuntimeError(
            "this process was forked from one that had called the block already: "
            "call it first after the fork, or start processes by spawn"
        )


@lru_cache(maxsize=None)
def _block() -> Block:
    return Block()


def block() -> Block:
    with _lock:
        return _block()
