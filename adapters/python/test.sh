#!/usr/bin/env bash
# Installs what the package needs, builds its wheel, and tests it: all eleven outputs, a permanent and a transient
# failure, a denied host, deadlines, types, the example. Needs Python 3.9 or newer and rustup; ../testing/tools.sh lists
# what can be there already.
set -euo pipefail
cd "$(dirname "$0")"
. ../testing/emulator.sh
need_component

pip_install 'pytest>=8,<9' 'mypy>=1.19,<2'
"$venv/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$work/wheel" .
pip_install "$work"/wheel/*.whl
# The same version may hold another build.
pip_install --no-deps --force-reinstall "$work"/wheel/*.whl

"$venv/bin/mypy" --strict src tests examples ../testing
"$venv/bin/python" -m pytest --quiet
