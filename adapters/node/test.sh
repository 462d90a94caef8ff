#!/usr/bin/env bash
# Installs what the package needs, and tests it: all eleven outputs, a permanent and a transient failure, a denied
# host, deadlines. Needs Node.js 20 or newer and rustup; ../testing/tools.sh lists what can be there already.
set -euo pipefail
cd "$(dirname "$0")"
. ../testing/tools.sh
# Built here, and not within the time that a test may take.
need_lro
need_component
npm_install .
npm test
