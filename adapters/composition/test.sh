#!/usr/bin/env bash
# Plugs the block into the front, serves it, and tests it: all eleven outputs, a permanent and a transient failure, a
# denied host, a deadline. WAC and WASMTIME name built commands; without them cargo installs both into target/tools,
# which takes some 20 minutes. Needs rustup and Python 3.9; LRO names a built lro, OPERATIONS_COMPONENT a component.
set -euo pipefail
cd "$(dirname "$0")"
. ../emulator.sh
wac=$(tool wac "${WAC:-}" wac-cli 0.12.0)
WASMTIME=$(tool wasmtime "${WASMTIME:-}" wasmtime-cli 48.0.8)
export WASMTIME
"$wac" --version
"$WASMTIME" --version

cargo fmt --check
cargo clippy --release --locked --target wasm32-wasip2 --target-dir "$repository/target/composition" -- --deny warnings
cargo build --release --locked --target wasm32-wasip2 --target-dir "$repository/target/composition"
SERVED=$work/served.wasm
export SERVED
"$wac" plug "$repository/target/composition/wasm32-wasip2/release/operations_front.wasm" \
  --plug "$OPERATIONS_COMPONENT" --output "$SERVED"
python3 -m unittest --quiet test_front.py
