#!/usr/bin/env bash
# Measures the gateway before a stand-in provider, next to the stand-in directly and through nginx in the same run:
# requests/s, processor time per request (all processes and threads of the proxy), and latency at 500 requests/s.
# The proxy has one core, the stand-in and the load another. Rounds alternate, and medians count, because machines are
# shared. Writes the section of docs/benchmarks.md.
#
#   ROUNDS=3  how often      SECONDS_EACH=4  how long each measurement takes      STEAD_BINARY=…  another build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh
rounds=${ROUNDS:-3}
length=${SECONDS_EACH:-4}
folder=$(mktemp -d)
started=()
cleanup() {
  local pid
  for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT

if ! command -v nginx >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get install -y --no-install-recommends nginx-light >/dev/null 2>&1 ||
    { apt-get update && apt-get install -y --no-install-recommends nginx-light; } >/dev/null 2>&1 || true
fi
cargo build --release --locked --quiet --package stead-gateway --example standin --example load
if [ -z "${STEAD_BINARY:-}" ]; then
  cargo build --release --locked --quiet --package stead
  STEAD_BINARY=$CARGO_TARGET_DIR/release/stead
fi
examples=$CARGO_TARGET_DIR/release/examples

# With two cores or more, the proxy has the first one to itself.
if command -v taskset >/dev/null && [ "$(nproc)" -gt 1 ]; then
  proxy_core=(taskset -c 0) other_core=(taskset -c 1)
else
  proxy_core=() other_core=()
fi
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
until_up() { # until_up URL
  local try
  for try in $(seq 500); do
    curl -s -o /dev/null "$1" && return
    sleep 0.02
  done
  echo "nothing answers at $1" >&2
  cat "$folder"/*.log >&2
  return 1
}

"${other_core[@]}" "$examples/standin" >"$folder/standin" &
started+=($!)
until [ -s "$folder/standin" ]; do sleep 0.02; done
standin=$(cat "$folder/standin")

variants=(direct)
if command -v nginx >/dev/null; then
  nginx_port=$(free_port)
  cat >"$folder/nginx.conf" <<CONF
worker_processes 1;
pid $folder/nginx.pid;
error_log $folder/nginx.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path $folder/n1; proxy_temp_path $folder/n2; fastcgi_temp_path $folder/n3;
  uwsgi_temp_path $folder/n4; scgi_temp_path $folder/n5;
  keepalive_requests 1000000000;
  upstream standin { server $standin; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:$nginx_port;
    location / {
      proxy_pass http://standin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
CONF
  "${proxy_core[@]}" nginx -c "$folder/nginx.conf" -e "$folder/nginx.log" -g 'daemon off;' &
  nginx_pid=$!
  started+=("$nginx_pid")
  until_up "http://127.0.0.1:$nginx_port/"
  variants+=(nginx)
else
  echo "nginx is not installed: it is left out" >&2
fi

start_stead() { # start_stead CAPTURE: sets stead_port, stead_pid, stead_key
  local data=$folder/$1
  stead_port=$(free_port)
  "${proxy_core[@]}" "$STEAD_BINARY" up --data "$data" --listen "127.0.0.1:$stead_port" \
    --no-discover --no-default-model --set "capture=$1" >"$folder/$1.log" 2>&1 &
  stead_pid=$!
  started+=("$stead_pid")
  until_up "http://127.0.0.1:$stead_port/readyz"
  "$STEAD_BINARY" --data "$data" provider add bench --type openai-compatible --url "http://$standin/v1" \
    --private --model bench >/dev/null
  stead_key=$("$STEAD_BINARY" --data "$data" key create bench -o json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')
}
for capture in sampled full; do
  start_stead "$capture"
  declare "port_$capture=$stead_port" "pid_$capture=$stead_pid" "key_$capture=$stead_key"
  variants+=("stead-$capture")
done

measure() { # measure VARIANT NAME ARGUMENT…
  local address key=none pid=() variant=$1 name=$2
  shift 2
  case $variant in
    direct) address=$standin ;;
    nginx) address=127.0.0.1:$nginx_port pid=(--pid "$nginx_pid") ;;
    stead-*)
      local port=port_${variant#stead-} process=pid_${variant#stead-} secret=key_${variant#stead-}
      address=127.0.0.1:${!port} pid=(--pid "${!process}") key=${!secret}
      ;;
  esac
  local result
  result=$("${other_core[@]}" "$examples/load" "$address" "$key" "$@" "${pid[@]}")
  echo "{\"variant\": \"$variant\", \"name\": \"$name\", \"result\": $result}" >>"$folder/results"
}
for round in $(seq "$rounds"); do
  for variant in "${variants[@]}"; do
    echo "round $round of $rounds: $variant" >&2
    measure "$variant" full 32 "$length"
    measure "$variant" steady 16 "$length" --rate 500
    measure "$variant" stream 16 "$length" --stream
  done
done

python3 benches/gateway/report.py "$folder/results" docs/benchmarks.md
