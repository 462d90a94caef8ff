#!/usr/bin/env bash
# Prints which lines and branches of src/ are reached by its unit tests and by the oracles' tests, which replay what
# fuzzing found. src/exchange.rs and src/wasi_error.rs, which are for wasm only, are not in it: the tests in wasmtime
# test them. Builds neither wasmtime nor the host. Installs what it needs.
#
#   tests/coverage.sh [--html]      # with --html, line by line, in target/coverage
set -euo pipefail
cd "$(dirname "$0")/.."

# The one that fuzz/run has: branches need a nightly.
toolchain=$(sed -n 's/^toolchain=//p' fuzz/run)
rustup toolchain install "$toolchain" --profile minimal --component llvm-tools --no-self-update
tools=$PWD/target/tools
if ! "$tools/bin/cargo-llvm-cov" --version 2>/dev/null; then
  CARGO_TARGET_DIR="$tools/build" cargo install --locked --quiet --root "$tools" cargo-llvm-cov@0.9.1
fi
export PATH="$tools/bin:$PATH"

export CARGO_PROFILE_DEV_OPT_LEVEL=1
covered=(--ignore-filename-regex '/oracles/|/build\.rs$')
cargo "+$toolchain" llvm-cov --branch --package operations-get --package operations-oracles --lib --tests --locked \
  --no-report
cargo "+$toolchain" llvm-cov report "${covered[@]}"
if [ "${1:-}" = --html ]; then
  cargo "+$toolchain" llvm-cov report "${covered[@]}" --html --output-dir target/coverage
fi
