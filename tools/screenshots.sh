#!/usr/bin/env bash
# Pictures of every page of the console, light and dark, into docs/screenshots: the debug build with the real model.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/setup.sh model embedding_model console
cargo build --locked --package stead
mkdir -p docs/screenshots
cd console
SCREENSHOTS=$PWD/../docs/screenshots npm run --silent browser
