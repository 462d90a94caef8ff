# What test.sh and cluster.sh run: the components, an emulator and an Obelisk.
. ../tools.sh
./build.sh
need_lro
if [ -z "${OBELISK:-}" ]; then
  debian protoc protobuf-compiler
  # Obelisk wants a newer compiler than the block; no toolchain but this build sees it.
  rustup toolchain install 1.99.1 --profile minimal
fi
OBELISK=$(tool obelisk "${OBELISK:-}" obelisk 0.41.5 1.99.1)
export OBELISK
