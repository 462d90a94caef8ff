#!/usr/bin/env bash
# Builds the block and the workflow into components/, from where deployment.toml takes them.
# OPERATIONS_COMPONENT names a block that is built already.
set -euo pipefail
cd "$(dirname "$0")"
root=../..
rustup --quiet target add wasm32-unknown-unknown
block=${OPERATIONS_COMPONENT:-}
if [ -z "$block" ]; then
  cargo build --quiet --manifest-path $root/Cargo.toml --package operations-get --profile block --target wasm32-wasip2
  block=${CARGO_TARGET_DIR:-$root/target}/wasm32-wasip2/block/operations_get.wasm
fi
# A workflow has no WASI: it is a core module, which Obelisk makes a component.
cargo build --quiet --locked --release --manifest-path wait/Cargo.toml --target-dir wait/target \
  --target wasm32-unknown-unknown
mkdir -p components
cp "$block" components/operations_get.wasm
cp wait/target/wasm32-unknown-unknown/release/operations_wait.wasm components/
