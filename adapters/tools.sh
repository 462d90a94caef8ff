# What a test.sh sources that needs a command which takes long to build.
# `tool COMMAND BUILT CRATE VERSION` prints the path BUILT, else that of one which cargo installs into target/tools.
tool() {
  if [ -n "$2" ]; then realpath "$2"; return; fi
  local tools=$repository/target/tools
  CARGO_TARGET_DIR=$tools/build cargo install --locked --quiet --root "$tools" "$3@$4" >&2
  printf '%s\n' "$tools/bin/$1"
}
