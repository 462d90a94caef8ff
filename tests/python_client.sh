#!/usr/bin/env bash
# Holds `lro get` against Google's own Python client: both read the operations of `lro emulate`, and
# the eleven values must be the same. Needs python3 and a package index; takes the path of lro.
set -euo pipefail
lro=${1:-target/release/lro}
here=$(dirname "$0")
work=$(mktemp -d)
trap 'kill "${emulator:-}" 2>/dev/null || true; rm -rf "$work"' EXIT

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet google-api-python-client==2.202.0

"$lro" emulate >"$work/emulator" &
emulator=$!
until endpoint=$(grep -o 'http://127[^;]*' "$work/emulator" | head -n 1) && [ -n "$endpoint" ]; do
  kill -0 "$emulator" || { echo "lro emulate ended before it served"; exit 1; }
  sleep 0.1
done
"$work/venv/bin/python" "$here/python_client.py" --lro "$lro" --endpoint "$endpoint"
