# What the scripts of adapters source: where the repository is, and commands that are built of it or for it.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}

# Sets LRO, the repository's own command, where it does not name a built one.
need_lro() {
  if [ -z "${LRO:-}" ]; then
    (cd "$repository" && cargo build --quiet --release --bin lro)
    LRO=$target/release/lro
  fi
  export LRO
}

# `tool COMMAND BUILT CRATE VERSION [TOOLCHAIN]` prints the path BUILT, else that of a command which cargo installs into
# target/tools.
tool() {
  if [ -n "$2" ]; then realpath "$2"; return; fi
  local tools=$repository/target/tools
  CARGO_TARGET_DIR=$tools/build cargo ${5:+"+$5"} install --locked --quiet --root "$tools" "$3@$4" >&2 || return
  printf '%s\n' "$tools/bin/$1"
}

# `debian COMMAND PACKAGE...` installs packages of Debian where there is no such command.
debian() {
  if command -v "$1" >/dev/null; then return; fi
  shift
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}
