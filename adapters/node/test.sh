#!/usr/bin/env bash
# Installs what the package needs, and tests it: all eleven outputs, a permanent and a transient failure, a denied
# host, deadlines. Needs Node.js 20 or newer and rustup; LRO names a built lro, OPERATIONS_COMPONENT a built component.
set -euo pipefail
cd "$(dirname "$0")"
. ../tools.sh
# Not within the time that a test may take.
need_lro
npm ci --no-audit --no-fund
npm test
