#!/usr/bin/env bash
# Tests the block in wasmtime's command line: all eleven outputs, a permanent and a transient failure, a denied host, a
# deadline. WASMTIME names a built wasmtime; without it cargo installs one into target/tools, which takes some 15
# minutes. Needs rustup and Python 3.9; LRO names a built lro, OPERATIONS_COMPONENT a built component.
set -euo pipefail
cd "$(dirname "$0")"
. ../emulator.sh
wasmtime=$(tool wasmtime "${WASMTIME:-}" wasmtime-cli 48.0.8)
"$wasmtime" --version
WASMTIME=$wasmtime python3 -m unittest --quiet test_get.py
