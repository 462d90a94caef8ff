# What the test.sh of an adapter sources: builds the component and the emulator, and starts the emulator.
# LRO names a built lro, OPERATIONS_COMPONENT a built component. Sets both, and ENDPOINT, the emulator's base URL.
# `stop` ends it; so does leaving the shell.
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

need_lro
if [ -z "${OPERATIONS_COMPONENT:-}" ]; then
  (cd "$repository" && cargo build --package operations-get --profile block --target wasm32-wasip2)
  OPERATIONS_COMPONENT=$target/wasm32-wasip2/block/operations_get.wasm
fi

work=$(mktemp -d)
stop() {
  [ -z "${emulator:-}" ] || kill "$emulator" 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

"$LRO" emulate >"$work/emulator" &
emulator=$!
until ENDPOINT=$(grep -o 'http://127[^;]*' "$work/emulator" | head -n 1) && [ -n "$ENDPOINT" ]; do
  kill -0 "$emulator" || { echo 'lro emulate ended before it served' >&2; exit 1; }
  sleep 0.1
done
export OPERATIONS_COMPONENT ENDPOINT
