#!/usr/bin/env bash
# How fast the console is in Debian's Chromium, before the real program with the real model: first paint and shift of
# every page, frames of a streamed answer and of long lists, a trace of 10,000 spans, a chat of 1,000 messages, the heap,
# and Lighthouse. Each line is a figure, its limit and a verdict; the section of docs/benchmarks.md is written.
#   STEAD_BINARY     a binary to measure instead of the release build
#   LOADS=20         how often each page is loaded
#   LIGHTHOUSE=off   leaves Lighthouse out
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh console model embedding_model
if [ -z "${STEAD_BINARY:-}" ]; then
  cargo build --release --locked --quiet --package stead
  STEAD_BINARY=$CARGO_TARGET_DIR/release/stead
fi
export STEAD_BINARY
if [ "${LIGHTHOUSE:-on}" = on ]; then
  LIGHTHOUSE=$STEAD_CACHE/node/lighthouse-12.8.2
  if [ ! -e "$LIGHTHOUSE/.done" ]; then
    mkdir -p "$LIGHTHOUSE"
    npm install --prefix "$LIGHTHOUSE" --no-audit --no-fund --silent --ignore-scripts lighthouse@12.8.2
    touch "$LIGHTHOUSE/.done"
  fi
  export LIGHTHOUSE
fi
export BENCH=$PWD/docs/benchmarks.md
cd console
exec npm run --silent browser
