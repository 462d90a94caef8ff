#!/usr/bin/env bash
# Prints which lines and branches of src/ its unit tests and the replay of what fuzzing found reach. What is for wasm
# alone, src/exchange.rs, is not in it: the tests in wasmtime are its tests. Installs what it needs.
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

tree=$PWD/target/native
tests/native.sh "$tree"
cd "$tree"
export CARGO_TARGET_DIR=$tree/target
covered=(--ignore-filename-regex '/fuzz/|/build\.rs$')
cargo "+$toolchain" llvm-cov --branch --workspace --lib --tests --locked --no-report
cargo "+$toolchain" llvm-cov report "${covered[@]}"
if [ "${1:-}" = --html ]; then
  cargo "+$toolchain" llvm-cov report "${covered[@]}" --html --output-dir ../coverage
fi
