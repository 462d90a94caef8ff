#!/usr/bin/env bash
# Changes src/ in one small place after the other, and prints which of the changes no test notices: the unit tests and
# the replay of what fuzzing found. Exits with other than 0 where there is one. .cargo/mutants.toml names the files
# that are left alone, and why. Installs what it needs.
#
#   tests/mutants.sh [MODULE...]    # all modules, or src/MODULE.rs alone
set -euo pipefail
cd "$(dirname "$0")/.."

tools=$PWD/target/tools
if ! "$tools/bin/cargo-mutants" --version 2>/dev/null; then
  CARGO_TARGET_DIR="$tools/build" cargo install --locked --quiet --root "$tools" cargo-mutants@27.1.0
fi
export PATH="$tools/bin:$PATH"

# The copy is what is changed, in place: each change then builds what it touches, and no more.
tree=$PWD/target/native
tests/native.sh "$tree"
cd "$tree"
export CARGO_TARGET_DIR=$tree/target
files=()
for module in "${@:-*}"; do
  files+=(--file "src/$module.rs")
done
tests=(--locked --lib --test replay)
cargo test --quiet --workspace "${tests[@]}"
# Its own run of the unchanged tests leaves out the replay, whose package has no change.
cargo mutants --in-place --baseline skip --timeout 40 --test-workspace true --output .. "${files[@]}" \
  -- "${tests[@]}"
