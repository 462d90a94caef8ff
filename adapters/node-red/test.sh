#!/usr/bin/env bash
# Installs what the package needs, and tests it: every path of the nodes, a restart and a redeploy, the examples, a
# person's way through the editor, what is packed, and the scorecard. Needs Node.js 20 or newer and rustup, and installs
# Chromium on Debian; ../testing/tools.sh lists what can be there already.
set -euo pipefail
cd "$(dirname "$0")"
. ../testing/tools.sh
# Built here, and not within the time that a test may take.
need_lro
need_component
need_chromium
npm_install ../node
npm run build --prefix ../node
npm_install .
npm test
