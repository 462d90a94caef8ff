#!/usr/bin/env bash
# Installs what the tests of the adapters take from npm, PyPI and Debian, all at once. Each test.sh installs what it
# needs by itself; this does it beforehand, beside a build.
set -euo pipefail
. "$(dirname "$0")/tools.sh"
npm_install "$repository/adapters/node"
npm_install "$repository/adapters/node-red"
need_chromium
need_google_client
need_prebuilt
