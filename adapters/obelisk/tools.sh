# For test.sh and cluster.sh to source: builds the components, and installs Obelisk.
. ../testing/tools.sh
./build.sh
if [ -z "${OBELISK:-}" ]; then
  debian protoc protobuf-compiler
  # Obelisk wants a newer compiler than the block; no toolchain but this build sees it.
  rustup toolchain install 1.99.1 --profile minimal
  CARGO_TARGET_DIR=$repository/target/tools/build cargo +1.99.1 install --locked --quiet \
    --root "$repository/target/tools" obelisk@0.41.5
  OBELISK=$repository/target/tools/bin/obelisk
fi
export OBELISK
