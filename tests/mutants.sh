#!/usr/bin/env bash
# Changes src/ in one small place after the other, and prints which of the changes no test notices: neither the unit
# tests nor the oracles' replay of what fuzzing found. Exits with other than 0 if there is one. .cargo/mutants.toml
# names the files that are left alone, and why. Builds neither wasmtime nor the host. Installs what it needs.
#
#   tests/mutants.sh [MODULE...]    # all modules, or only src/MODULE.rs
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/tools
if ! "$tools/bin/cargo-mutants" --version 2>/dev/null; then
  CARGO_TARGET_DIR="$tools/build" cargo install --locked --quiet --root "$tools" cargo-mutants@27.1.0
fi
export PATH="$tools/bin:$PATH"

# Kept between runs, of which each changes a copy of the repository in a folder of its own.
export CARGO_TARGET_DIR=$PWD/target/mutants
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=false
files=()
for module in "${@:-*}"; do
  files+=(--file "src/$module.rs")
done
cargo mutants --package operations-get --test-package operations-get,operations-oracles --timeout 40 \
  --output target "${files[@]}" -- --locked --lib --test replay
