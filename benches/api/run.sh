#!/usr/bin/env bash
# The resource API beside Kubernetes' own, with etcd's fsync on: the same requests by the same client (load.go) over
# TLS, one server after the other on the same disk. Each line a figure of both, its limit and a verdict.
#   STEAD_BINARY   a binary to measure instead of the release build
#   CREATES=10000  how many objects of 1 KB are created, and listed      OBJECTS=50000  how many of 2 KB lie there
#   SECONDS_EACH=10  how long 200 watches follow 50 changes/s            LIMITS=off     does not fail by its verdicts
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/setup.sh kubectl
if [ -z "${STEAD_BINARY:-}" ]; then
  cargo build --release --locked --quiet --package stead
  STEAD_BINARY=$CARGO_TARGET_DIR/release/stead
fi
creates=${CREATES:-10000} objects=${OBJECTS:-50000} seconds=${SECONDS_EACH:-10}
folder=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  KUBEBOX_STATE=$folder/kubebox bash tools/kubebox/down.sh bench 2>/dev/null || true
  rm -rf "$folder"
}
trap cleanup EXIT
CGO_ENABLED=0 go build -trimpath -o "$folder/load" benches/api/load.go
failed=0
port=$((20000 + RANDOM % 20000))
megabytes() { awk '/^VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
now() { date +%s%N; }
since() { awk -v spent="$(($(now) - $1))" 'BEGIN { printf "%.2f", spent / 1e9 }'; }
calc() { awk "BEGIN { printf \"%.2f\", $1 }"; }
verdict() { # verdict NAME OURS THEIRS CONDITION LIMIT: CONDITION is an awk expression over ours and theirs
  local word=PASS
  awk -v ours="$2" -v theirs="$3" "BEGIN { exit !($4) }" || { word=FAIL; failed=1; }
  printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$5" "$word"
}
# measure NAME URL CA TOKEN PID: leaves NAME_… with the figures.
measure() {
  local name=$1 load=("$folder/load" "$2" "$3" "$4") pid=$5
  local writes p50 p99 list bytes events
  create_namespaces "$2" "$3" "$4"
  read -r writes p50 p99 < <("${load[@]}" fill small "$creates" 1000 16)
  read -r list bytes < <("${load[@]}" list small 7)
  printf -v "${name}_writes" %s "$writes"; printf -v "${name}_p99" %s "$p99"
  printf -v "${name}_list" %s "$list"
  read -r events p50 p99 < <("${load[@]}" watch watched 200 50 "$seconds")
  printf -v "${name}_events" %s "$events"
  printf -v "${name}_watch50" %s "$p50"; printf -v "${name}_watch99" %s "$p99"
  "${load[@]}" fill large "$objects" 2000 16 >/dev/null
  printf -v "${name}_memory" %s "$(megabytes "$pid")"
}
create_namespaces() {
  for namespace in small watched large; do
    curl -sf --cacert "$2" -H "Authorization: Bearer $(cat "$3")" -H 'Content-Type: application/json' \
      -d "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"$namespace\"}}" "$1/api/v1/namespaces" >/dev/null
  done
}
# How long one write of 2 KB takes that is on the disk when it is done, which bounds what a writer can do.
sync_time() {
  python3 - "$folder/sync" <<'PY'
import os, sys, time
file, times = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY), []
for _ in range(200):
    begun = time.perf_counter()
    os.write(file, b"x" * 2048)
    os.fdatasync(file)
    times.append(time.perf_counter() - begun)
print(f"{sorted(times)[100] * 1000:.2f}")
PY
}

echo "a synced write of 2 KB takes $(sync_time) ms here" >&2
export KUBEBOX_STATE=$folder/kubebox KUBEBOX_PORT=$port KUBEBOX_FSYNC=on
export KUBEBOX_WITHOUT="kube-controller-manager kube-scheduler kwok" KUBEBOX_CONTROLLERS=none
bash tools/kubebox/up.sh bench /dev/null >/dev/null
state=$KUBEBOX_STATE/bench
cut -d, -f1 "$state/tokens.csv" >"$folder/kubernetes.token"
measure kubernetes "https://127.0.0.1:$port" "$state/ca.crt" "$folder/kubernetes.token" "$(cat "$state/kube-apiserver.pid")"
before=$(now)
kill -KILL "$(cat "$state/kube-apiserver.pid")" && sleep 0.1
bash tools/kubebox/up.sh bench /dev/null >/dev/null
kubernetes_start=$(since "$before")
bash tools/kubebox/down.sh bench

export STEAD_HOME=$folder/data STEAD_LOG=warn
port=$((port + 10))
start() { # start: returns when a list is answered
  "$STEAD_BINARY" up --listen "127.0.0.1:$port" --no-discover --no-default-model >"$folder/log" 2>&1 &
  server=$!
  until [ -s "$STEAD_HOME/keys/admin.token" ] && curl -sf -H "Authorization: Bearer $(cat "$STEAD_HOME/keys/admin.token")" \
    "http://127.0.0.1:$port/k8s/api/v1/namespaces/large/configmaps?limit=1" >/dev/null; do sleep 0.01; done
}
start
"$STEAD_BINARY" kubeconfig 2>/dev/null | python3 -c '
import base64, re, sys
text = sys.stdin.read()
data = re.search(r"certificate-authority-data:\s*>?-?\s*(\S+)", text).group(1)
sys.stdout.buffer.write(base64.b64decode(data))' >"$folder/stead.ca"
measure stead "https://127.0.0.1:$port/k8s" "$folder/stead.ca" "$STEAD_HOME/keys/admin.token" "$server"
kill -INT "$server"; wait "$server" || true
before=$(now)
start
stead_start=$(since "$before")
sleep 1
stead_later=$(megabytes "$server")

echo '| figure | Stead | Kubernetes | threshold | |'
echo '| --- | --- | --- | --- | --- |'
verdict "durable writes/s, 1 KB ConfigMaps, 16 clients" "$stead_writes" "$kubernetes_writes" 'ours >= 5 * theirs' 'at least 5 times'
printf '| p99 of such a write | %s ms | %s ms | – | |\n' "$stead_p99" "$kubernetes_p99"
verdict "list of $creates, in s" "$stead_list" "$kubernetes_list" 'ours <= theirs' 'at most as long'
verdict "events told by 200 watches of 50 changes/s" "$stead_events" "$kubernetes_events" \
  "ours == 200 * 50 * $seconds" 'every one'
verdict "p99 from before a write to its event there, in ms" "$stead_watch99" "$kubernetes_watch99" 'ours < 100' 'under 100'
printf '| p50 of it | %s ms | %s ms | – | |\n' "$stead_watch50" "$kubernetes_watch50"
verdict "memory after creating $objects of 2 KB, in MB" "$stead_memory" "$kubernetes_memory" 'ours < 300' 'under 300'
printf '| memory with them after a start | %s MB | – | – | |\n' "$stead_later"
verdict "from a start with them to the first answer, in s" "$stead_start" "$kubernetes_start" 'ours < 1' 'under 1'
[ "${LIMITS:-on}" = off ] || exit "$failed"
