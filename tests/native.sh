#!/usr/bin/env bash
# Makes a workspace in DIR of what of the block runs without a sandbox: src/ with its unit tests, and the oracles of
# fuzz/ with what they replay. It has neither wasmtime nor the host, so that its tests build in seconds.
#
#   tests/native.sh DIR
set -euo pipefail
tree=$1
cd "$(dirname "$0")/.."

mkdir -p "$tree"
rm -rf "$tree"/{src,wit,catalog,fuzz,.cargo,build.rs}
git ls-files -z -- .cargo build.rs catalog src wit fuzz | xargs -0 cp --parents --target-directory "$tree"
mv "$tree/fuzz/Cargo.lock" "$tree/Cargo.lock"

# The oracles are a member here, and what only the tests in wasmtime need is left out.
awk '
  /^members = / { print "members = [\"fuzz\"]"; next }
  /^default-members = / { next }
  /^\[/ { is_left_out = /^\[dev-dependencies\]|^\[\[bench\]\]|^\[profile\./ }
  !is_left_out
' Cargo.toml >"$tree/Cargo.toml"
cat >>"$tree/Cargo.toml" <<'PROFILE'
[profile.dev]
opt-level = 1
debug = false
PROFILE
awk '
  /^\[/ { is_left_out = /^\[workspace\]|^\[profile\./ }
  !is_left_out
' fuzz/Cargo.toml >"$tree/fuzz/Cargo.toml"
