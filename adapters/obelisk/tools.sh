# What test.sh and cluster.sh run: the components, an emulator and an Obelisk.
./build.sh
root=$(cd ../.. && pwd)
if [ -z "${LRO:-}" ]; then
  cargo build --quiet --release --manifest-path "$root/Cargo.toml"
  export LRO=$root/target/release/lro
fi
if [ -z "${OBELISK:-}" ]; then
  export OBELISK=$root/target/tools/bin/obelisk
  if ! "$OBELISK" --version 2>/dev/null | grep -qx 'obelisk 0.41.5'; then
    # Obelisk wants a newer compiler than the block; no toolchain but this build sees it.
    rustup toolchain install 1.99.1 --profile minimal
    CARGO_TARGET_DIR=$root/target/tools/build cargo +1.99.1 install --locked --quiet --root "$root/target/tools" obelisk@0.41.5
  fi
fi
