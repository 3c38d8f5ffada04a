#!/usr/bin/env bash
# Measures the gateway before a stand-in provider, next to the stand-in directly, nginx, and those peers that a package
# registry has, in one run: requests/s, processor time per request and per streamed token (all processes and threads of
# the proxy, writers included), latency, memory, and the first request after a start. Prints every threshold with
# PASS or FAIL, and writes the section of docs/benchmarks.md.
#
#   ROUNDS=3  how often      SECONDS_EACH=3  how long each measurement takes      STEAD_BINARY=…  another build
#   PEERS=0  without the peers      REALTIME=1  with precedence over everything else on a machine that is busy (root)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh
if ! command -v nginx >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get install -y --no-install-recommends nginx-light >/dev/null 2>&1 ||
    { apt-get update && apt-get install -y --no-install-recommends nginx-light; } >/dev/null 2>&1 || true
fi
if [ -z "${BENCH_LOAD:-}" ]; then
  cargo build --release --locked --quiet --package stead-gateway --example load
  BENCH_LOAD=$CARGO_TARGET_DIR/release/examples/load
fi
if [ -z "${STEAD_BINARY:-}" ]; then
  cargo build --release --locked --quiet --package stead
  STEAD_BINARY=$CARGO_TARGET_DIR/release/stead
fi
export BENCH_LOAD STEAD_BINARY

# A peer that cannot be had is left out; the report says so.
peer() { # peer VARIABLE COMMAND…: sets the variable to the folder that the command prints
  local folder
  if folder=$("${@:2}" 2>/dev/null); then
    export "$1=$folder"
  else
    echo "no package for ${1#PEER_}: it is left out" >&2
  fi
}
portkey() {
  local folder=$STEAD_CACHE/node/portkey-1.15.2
  if [ ! -e "$folder/.done" ]; then
    mkdir -p "$folder"
    npm install --prefix "$folder" --no-audit --no-fund --silent --ignore-scripts @portkey-ai/gateway@1.15.2 >&2 || return
    touch "$folder/.done"
  fi
  echo "$folder"
}
if [ "${PEERS:-1}" = 1 ]; then
  peer PEER_LITELLM pip_packages bench-litellm 'litellm[proxy]==1.83.14'
  peer PEER_SGLANG pip_packages bench-sglang sglang-router==0.3.2
  peer PEER_VLLM pip_packages bench-vllm vllm-router==0.1.17
  peer PEER_PORTKEY portkey
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 benches/gateway/measure.py "$folder"
python3 benches/gateway/report.py "$folder/results" docs/benchmarks.md
