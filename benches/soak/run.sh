#!/usr/bin/env bash
# Two hundred kills under load: every acknowledged object and usage row must be there.
# `run.sh memory`: ten minutes of requests and streams (MINUTES=10), during which the memory must stay what it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh tools
cargo build --release --locked --package stead
export STEAD_BINARY=${STEAD_BINARY:-$CARGO_TARGET_DIR/release/stead}
if [ "${1:-kills}" = memory ]; then
  cargo build --release --locked --package stead-gateway --example load
  export BENCH_LOAD=$CARGO_TARGET_DIR/release/examples/load
  exec python3 benches/soak/memory.py
fi
export STEAD_KILLS=${STEAD_KILLS:-200}
exec cargo nextest run --locked --package stead --test e2e --no-capture \
  --config-file benches/soak/nextest.toml kills_under
