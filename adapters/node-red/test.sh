#!/usr/bin/env bash
# Installs what the package needs, and tests it: every path of the nodes, a restart and a redeploy, the examples, a
# person's way through the editor, what is packed, and the scorecard. Needs Node.js 20 or newer, rustup, and Chromium,
# which it installs on Debian; LRO names a built lro, OPERATIONS_COMPONENT a built component, CHROMIUM a browser.
set -euo pipefail
cd "$(dirname "$0")"

. ../tools.sh
# Not within the time that a test may take.
need_lro
if [ -z "${CHROMIUM:-}" ] && ! command -v chromium-browser google-chrome >/dev/null; then
  debian chromium chromium fonts-noto-core
fi
npm ci --no-audit --no-fund --prefix ../node
npm run build --prefix ../node
npm ci --no-audit --no-fund
npm test
