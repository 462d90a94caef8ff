#!/usr/bin/env bash
# Builds what the adapter needs, and tests it: all eleven outputs, failures, a denied host, deadlines, the token, and a
# server that is killed in the middle of a wait. Needs rustup and Python 3.11 or newer; installs the rest, for which
# Obelisk is compiled in 20 minutes. ../testing/tools.sh lists what can be there already.
set -euo pipefail
cd "$(dirname "$0")"
. ../testing/emulator.sh
. ./tools.sh
cargo fmt --manifest-path wait/Cargo.toml --check
cargo test --quiet --locked --release --manifest-path wait/Cargo.toml
cargo clippy --quiet --locked --release --manifest-path wait/Cargo.toml --target wasm32-unknown-unknown -- --deny warnings
python3 -m unittest discover --start-directory test "$@"
