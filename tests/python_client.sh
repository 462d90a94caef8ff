#!/usr/bin/env bash
# Compares `lro get` with Google's own Python client: both read the operations of `lro emulate`, and the eleven values
# must be the same. Needs python3 and a package index; LRO names a built lro, by its absolute path.
set -euo pipefail
cd "$(dirname "$0")"
. ../adapters/testing/emulator.sh
need_google_client
"$venv/bin/python" python_client.py --lro "$LRO" --endpoint "$ENDPOINT"
