"""Puts the component and the licence into the wheel: what the package needs of the rest of the repository.

OPERATIONS_GET_COMPONENT names a component that is already built; without it cargo builds one.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Dict

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILD = "cargo build --package operations-get --profile block --target wasm32-wasip2"


class ComponentHook(BuildHookInterface):
    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        repository = Path(self.root, "../..").resolve()
        component = os.environ.get("OPERATIONS_GET_COMPONENT") or built(repository)
        build_data["force_include"][component] = "google_operations_get/operations_get.wasm"
        build_data["force_include"][str(repository / "LICENSE")] = "google_operations_get/LICENSE"


def built(repository: Path) -> str:
    """Builds the component, and tells where cargo put it."""
    command = [*BUILD.split(), "--message-format", "json-render-diagnostics"]
    try:
        cargo = subprocess.run(command, cwd=repository, stdout=subprocess.PIPE, check=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(
            "the component was not built: install Rust (https://rustup.rs), "
            "or set OPERATIONS_GET_COMPONENT to an operations_get.wasm"
        ) from error
    messages = [json.loads(line) for line in cargo.stdout.splitlines() if line.startswith("{")]
    files = [
        file
        for message in messages
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == "operations_get"
        for file in message["filenames"]
    ]
    return next(file for file in files if file.endswith(".wasm"))
