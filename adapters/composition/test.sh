#!/usr/bin/env bash
# Plugs the block into the front, serves it, and tests it: all eleven outputs, a permanent and a transient failure, a
# denied host, a deadline. Needs rustup and Python 3.9 or newer, and installs prebuilt tools; ../testing/tools.sh lists
# what can be there already.
set -euo pipefail
cd "$(dirname "$0")"
. ../testing/emulator.sh
need_component
need_wasmtime
need_prebuilt
"$WASMTIME" --version
"$venv/bin/wasm-tools" --version

cargo fmt --check
cargo clippy --release --locked --target wasm32-wasip2 --target-dir "$repository/target/composition" -- --deny warnings
cargo build --release --locked --target wasm32-wasip2 --target-dir "$repository/target/composition"
# The name of the file becomes the name of the instance, which takes no `_`.
cp "$OPERATIONS_GET_COMPONENT" "$work/operations-get.wasm"
SERVED=$work/served.wasm
export SERVED
# What `wac plug` does. No wac comes prebuilt.
"$venv/bin/wasm-tools" compose "$repository/target/composition/wasm32-wasip2/release/operations_front.wasm" \
  --definitions "$work/operations-get.wasm" --output "$SERVED"
python3 -m unittest --quiet test_front.py
