#!/usr/bin/env bash
# Follows the README word for word in a fresh Debian with only its stated prerequisites, as root.
#
# The Rust toolchain and the package clients' settings of this machine are mounted in; everything else comes from
# the packages that the README names. Needs root and the packages debootstrap and util-linux.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${1:-$(mktemp -d)/chroot}
suite=${README_SUITE:-bookworm}
mounts=()
cleanup() {
  for ((i = ${#mounts[@]} - 1; i >= 0; i--)); do umount -l "${mounts[i]}" || true; done
}
trap cleanup EXIT
bind() { # bind FOLDER [OPTIONS]: the same path inside, read-only unless told otherwise
  [ -e "$1" ] || return 0
  if [ -d "$1" ]; then mkdir -p "$root$1"; else mkdir -p "$(dirname "$root$1")"; touch "$root$1"; fi
  mount --bind -o "${2:-ro}" "$1" "$root$1"
  mounts+=("$root$1")
}

# The mirror that apt uses here.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
  awk '/^deb / || /^URIs:/ { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/ && !seen++) print $i }' || true)
[ -x "$root/bin/sh" ] || debootstrap --variant=minbase --include=build-essential,ca-certificates,python3-pip,curl,procps \
  "$suite" "$root" "${mirror:-}" >/dev/null
bind /etc/resolv.conf; bind /etc/hosts; bind /etc/ssl/certs; bind /etc/pip.conf
bind "${CARGO_HOME:-$HOME/.cargo}" rw; bind "${RUSTUP_HOME:-$HOME/.rustup}"
mkdir -p "$root/proc" "$root/dev"; mount -t proc proc "$root/proc"; mounts+=("$root/proc")
mount --rbind /dev "$root/dev"; mounts+=("$root/dev")
# What an earlier run built is kept; nothing else of it is.
if [ -d "$root/stead/target" ]; then mv "$root/stead/target" "$root/target"; fi
rm -rf "$root/stead" "$root/var/lib/stead"
git clone --quiet "$repository" "$root/stead"
if [ -d "$root/target" ]; then mv "$root/target" "$root/stead/target"; fi

# The two commands and the tour's first lines; `up` is interrupted once it has answered.
cat >"$root/follow" <<'INSIDE'
set -euo pipefail
cd /stead
cargo run --release -- up >/up.log 2>&1 &
up=$!
until grep -q '^  stead chat' /up.log; do kill -0 "$up" || { cat /up.log; exit 1; }; sleep 1; done
cat /up.log | tail -n 12
eval "$(grep -m1 '^  curl ' /up.log)" | grep Paris
stead() { cargo run --release --quiet -- "$@"; }
stead status
stead get providers
stead get models
stead key create laptop -o json | grep sk-stead- >/dev/null
stead chat 'Tell me the capital of France.' | grep Paris
stead trace list
stead usage --by model
stead kubeconfig >/f
stead doctor
kill -INT "$(pgrep -x stead)"
wait "$up"
INSIDE
environment=(HOME="$HOME" PATH="$HOME/.cargo/bin:/usr/sbin:/usr/bin:/sbin:/bin" TERM=dumb)
while IFS= read -r pair; do environment+=("$pair"); done < <(env | grep -E '^(PIP_|CARGO_|RUSTUP_|SSL_|https?_proxy|HTTPS?_PROXY)' | grep -v '^CARGO_TARGET_DIR')
chroot "$root" env -i "${environment[@]}" bash /follow
echo "the README holds in a fresh $suite"
