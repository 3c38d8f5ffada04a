# Names for what is done often; the logic is in ./test, tools/ and cargo xtask.

# Formatting, lints, layers.
check:
    cargo fmt --all --check
    cargo xtask layers
    cargo xtask sizes
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Every test, or those whose name contains a word: just test [WORD].
test *words:
    ./test {{words}}

# The server from this checkout, with data of its own.
dev *arguments:
    cargo run -- up --data "${TMPDIR:-/tmp}/stead-dev" {{arguments}}

# The reference manual, written from the code.
docs:
    cargo xtask docs

# The console, built into console/dist, which is committed.
console:
    . tools/setup.sh console && cd console && npm run --silent check && npm run --silent build

# The console with changes shown at once, beside a server (STEAD_SERVER, default http://127.0.0.1:7832).
console-dev:
    cd console && npm run dev

# Pictures of every page, light and dark, into docs/screenshots.
screenshots:
    bash tools/screenshots.sh

# A benchmark: api, console, inference, gateway, observe, start.
bench name:
    bash benches/{{name}}/run.sh

# Two hundred kills under load; `just soak memory`: ten minutes of load in which the memory stays what it is.
soak what="kills":
    bash benches/soak/run.sh {{what}}

# What a build from nothing costs.
budget:
    cargo xtask budget

# What continuous integration runs.
ci:
    .ci/run

# The README, word for word, in a fresh Debian (needs root).
readme:
    bash tools/readme-chroot.sh
