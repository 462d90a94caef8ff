#!/usr/bin/env bash
# Installs what the package needs, builds its wheel, and tests it: all eleven outputs, a permanent and a transient
# failure, a denied host, deadlines, types, the example. Needs Python 3.9 or newer and rustup; VENV names the virtual
# environment, LRO a built lro, OPERATIONS_COMPONENT a built component.
set -euo pipefail
cd "$(dirname "$0")"
. ../emulator.sh

venv=$(realpath -m "${VENV:-$repository/target/python}")
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" wheel --quiet --no-deps --wheel-dir "$work/wheel" .
"$venv/bin/pip" install --quiet 'pytest>=8,<9' 'mypy>=1.19,<2' "$work"/wheel/*.whl
# The same version may hold another build.
"$venv/bin/pip" install --quiet --no-deps --force-reinstall "$work"/wheel/*.whl

"$venv/bin/mypy" --strict src tests examples
"$venv/bin/python" -m pytest --quiet
