# For test scripts to source: starts `lro emulate`, which ends with the shell. Sets ENDPOINT, its base URL, and `work`, a
# folder that goes with the shell too.
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"

need_lro
work=$(mktemp -d)
trap 'kill "${emulator:-}" 2>/dev/null || true; rm -rf "$work"' EXIT

mkfifo "$work/emulator"
"$LRO" emulate >"$work/emulator" &
emulator=$!
exec 9<"$work/emulator"
ENDPOINT=
until [ -n "$ENDPOINT" ]; do
  read -r line <&9 || { echo 'lro emulate ended before it served' >&2; exit 1; }
  ENDPOINT=$(grep -o 'http://127[^;]*' <<<"$line" || true)
done
export ENDPOINT
