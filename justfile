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

# A benchmark: inference, gateway, observe, start.
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
