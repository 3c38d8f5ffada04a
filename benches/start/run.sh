#!/usr/bin/env bash
# What the program costs when it does nothing, and how soon it answers: each line a figure, its limit and a verdict.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh model
cargo build --release --locked --quiet --package stead
stead=$CARGO_TARGET_DIR/release/stead
folder=$(mktemp -d)
server=
cleanup() {
  [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
export STEAD_HOME=$folder/data
port=$((20000 + RANDOM % 20000))
failed=0
now() { date +%s%N; }
verdict() { # verdict NAME VALUE LIMIT UNIT: VALUE must be at most LIMIT
  local word=PASS
  awk -v value="$2" -v limit="$3" 'BEGIN { exit !(value <= limit) }' || { word=FAIL; failed=1; }
  printf '%-42s %10s %s (at most %s)  %s\n' "$1" "$2" "$4" "$3" "$word"
}
start() { # start ARGUMENT…: returns when the server answers
  "$stead" up --listen "127.0.0.1:$port" --no-discover --no-default-model "$@" >"$folder/log" 2>&1 &
  server=$!
  until curl -sf "http://127.0.0.1:$port/readyz" >/dev/null; do sleep 0.01; done
}
stop() { kill -INT "$server"; wait "$server" || true; server=; }
megabytes() { awk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

verdict "binary" "$(awk -v bytes="$(stat -c %s "$stead")" 'BEGIN { printf "%.1f", bytes / 1e6 }')" 60 MB
best=999
for _ in $(seq 20); do
  before=$(now)
  "$stead" --version >/dev/null
  best=$(awk -v best="$best" -v spent="$((($(now) - before)))" 'BEGIN { spent /= 1e6; printf "%.1f", spent < best ? spent : best }')
done
verdict "stead --version, best of 20, with its fork" "$best" 8 ms

start
sleep 5 # whatever the start leaves to do
before=$(ticks "$server")
sleep 30
spent=$(($(ticks "$server") - before))
verdict "idle processor over 30 s" "$(awk -v ticks="$spent" 'BEGIN { printf "%.2f", ticks / 30 }')" 0.5 "% of a core"
verdict "idle memory without the model" "$(megabytes "$server")" 60 MB

"$stead" apply -f - >/dev/null <<YAML
apiVersion: stead.dev/v1alpha1
kind: Model
metadata: {name: smollm2-135m}
spec: {sources: ["file:$STEAD_TEST_MODEL"]}
---
apiVersion: stead.dev/v1alpha1
kind: ModelProvider
metadata: {name: local}
spec: {type: embedded}
---
apiVersion: stead.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat}
spec: {targets: [{provider: local, model: smollm2-135m}]}
YAML
"$stead" wait model/smollm2-135m --for=condition=Ready --timeout=120s >/dev/null
token=$(cat "$STEAD_HOME/keys/admin.token")
stop
before=$(now)
start
question='{"model":"chat","temperature":0,"max_tokens":8,"messages":[{"role":"user","content":"Tell me the capital of France."}]}'
answer=$(curl -sf "http://127.0.0.1:$port/v1/chat/completions" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d "$question")
spent=$(awk -v spent="$(($(now) - before))" 'BEGIN { printf "%.2f", spent / 1e9 }')
grep -q Paris <<<"$answer" || { echo "the answer is not Paris: $answer"; exit 1; }
verdict "from start to the first answer" "$spent" 2 s
stop
exit "$failed"
