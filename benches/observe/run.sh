#!/usr/bin/env bash
# How fast spans are stored, and how soon they are read: each line a figure, its limit and a verdict.
#   STEAD_BINARY   a binary to measure instead of the release build
#   SPANS          how many spans (default 200000)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh
if [ -z "${STEAD_BINARY:-}" ]; then
  cargo build --release --locked --quiet --package stead
  STEAD_BINARY=$CARGO_TARGET_DIR/release/stead
fi
folder=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
needed=$((${SPANS:-200000} * 3 / 1024))
free=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
[ "$free" -gt $((needed + 500)) ] || { echo "bench: $free MB are free, $needed are needed" >&2; exit 1; }
export STEAD_HOME=$folder/data
port=$((20000 + RANDOM % 20000))
"$STEAD_BINARY" up --listen "127.0.0.1:$port" --no-discover --no-default-model --set opikLocal=on >"$folder/log" 2>&1 &
server=$!
until curl -sf "http://127.0.0.1:$port/readyz" >/dev/null; do sleep 0.05; done
python3 benches/observe/load.py "$port" "$server" "$STEAD_HOME" "${SPANS:-200000}"
