#!/usr/bin/env bash
# cluster.sh [N]: two Obelisk servers on one PostgreSQL wait for N operations (1,000) that end after 5 to 60 s; one of
# them is killed half way. Prints what came of it, and fails where an operation was lost or reported twice.
# Needs what test.sh needs, and installs PostgreSQL where there is none.
set -euo pipefail
cd "$(dirname "$0")"
. ./tools.sh
[ -d /usr/lib/postgresql ] || debian initdb postgresql
exec python3 test/cluster.py "$@"
