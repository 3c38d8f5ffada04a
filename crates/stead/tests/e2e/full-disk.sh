# Runs inside a mount namespace of its own: STEAD MOUNTPOINT PORT.
# Fills the disk under a running server, and checks that it refuses, lives, and has kept what it acknowledged.
set -euo pipefail
stead=$1 data=$2 port=$3
mount -t tmpfs -o size=24m tmpfs "$data"
export STEAD_HOME=$data
start() {
  "$stead" up --listen "127.0.0.1:$port" --no-discover --no-default-model >"/tmp/full-disk.$$" 2>&1 &
  server=$!
  for _ in $(seq 600); do
    curl -sf "http://127.0.0.1:$port/readyz" >/dev/null && grep -q 'stead provider add' "/tmp/full-disk.$$" && return
    kill -0 "$server" || { cat "/tmp/full-disk.$$"; exit 1; }
    sleep 0.1
  done
  exit 1
}
trap 'kill -KILL "$server" 2>/dev/null || true; rm -f "/tmp/full-disk.$$"' EXIT
start
object() { printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {text: "%s"}\n' "$1" "$(head -c 60000 /dev/zero | tr '\0' x)"; }
object before | "$stead" apply -f - >/dev/null

# Fill what is left, but for less than the next object needs.
head -c 100000000 /dev/zero >"$data/filler" 2>/dev/null || true
kept=() refused=
for n in $(seq 40); do
  if object "full-$n" | "$stead" apply -f - >/dev/null 2>"/tmp/full-disk.err.$$"; then kept+=("full-$n"); else refused=yes; break; fi
done
[ -n "$refused" ] || { echo "a full disk refused nothing"; exit 1; }
cat "/tmp/full-disk.err.$$"
grep -qiE 'disk|space|full' "/tmp/full-disk.err.$$" || { echo "the error does not say that the disk is full"; exit 1; }
rm -f "/tmp/full-disk.err.$$"
curl -sf "http://127.0.0.1:$port/livez" >/dev/null || { echo "the server did not survive"; exit 1; }

# Room again: writes work again, at once.
rm "$data/filler"
object after | "$stead" apply -f - >/dev/null

kill -KILL "$server"; wait "$server" 2>/dev/null || true
start
for name in before "${kept[@]}" after; do
  "$stead" get configmap "$name" -o name >/dev/null || { echo "$name was lost"; exit 1; }
done
