#!/usr/bin/env bash
# Tests the block in wasmtime's command line: all eleven outputs, a permanent and a transient failure, a denied host, a
# deadline. Needs rustup and Python 3.9 or newer, and installs a prebuilt wasmtime; ../testing/tools.sh lists what can be
# there already.
set -euo pipefail
cd "$(dirname "$0")"
. ../testing/emulator.sh
need_component
need_wasmtime
"$WASMTIME" --version
python3 -m unittest --quiet test_get.py
