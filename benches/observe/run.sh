#!/usr/bin/env bash
# How fast spans are stored, and how soon they are read: each line a figure, its limit and a verdict; then the same
# questions put to DuckDB over the same spans. The folder of the run is removed at its end.
#   STEAD_BINARY   a binary to measure instead of the release build
#   SPANS          how many spans (default 200000; the limits are meant for 1000000 and 10000000)
#   LIMITS=off     prints verdicts, but does not fail by them, only by what is missed: for a small run
#   COMPARE=off    leaves DuckDB out
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh
if [ -z "${STEAD_BINARY:-}" ]; then
  cargo build --release --locked --quiet --package stead
  STEAD_BINARY=$CARGO_TARGET_DIR/release/stead
fi
spans=${SPANS:-200000}
folder=$(mktemp -d)
cleanup() {
  [ ! -s "$folder/server" ] || kill -KILL "$(cat "$folder/server")" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
needed=$((spans * 6 / 1024 + 500))
free=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
[ "$free" -gt "$needed" ] || { echo "bench: $free MB are free, $needed are needed" >&2; exit 1; }
export STEAD_BINARY STEAD_HOME=$folder/data
failed=0
python3 benches/observe/load.py "$folder" "$spans" || failed=$?
if [ "${COMPARE:-on}" = on ]; then
  "$(pip_packages duckdb duckdb==1.4.2)/bin/python" benches/observe/duck.py "$folder" "$((spans < 1000000 ? spans : 1000000))"
fi
exit "$failed"
