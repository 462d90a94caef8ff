#!/usr/bin/env bash
# cluster.sh [N]: two Obelisk servers on one PostgreSQL wait for N operations (1,000) that end after 5 to 60 s; one of
# them is killed half way. Prints what came of it, and fails where an operation was lost or reported twice.
# Needs PostgreSQL's programs besides what test.sh needs.
set -euo pipefail
cd "$(dirname "$0")"
. ./tools.sh
exec python3 test/cluster.py "$@"
