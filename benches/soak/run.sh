#!/usr/bin/env bash
# Two hundred kills under load: every acknowledged object and usage row must be there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh tools
cargo build --release --locked --package stead
export STEAD_BINARY=$CARGO_TARGET_DIR/release/stead STEAD_KILLS=${STEAD_KILLS:-200}
exec cargo nextest run --locked --package stead --test e2e --no-capture \
  --config 'profile.default.slow-timeout={ period = "600s", terminate-after = 6 }' kills_under
