# Commands that people repeat: `just --list`.

# What guards main
ci:
    .ci/run

# All tests
test:
    cargo test

# One test binary: `just one node`
one name:
    cargo test --all-features --test {{name}}

# Formatting and lints
lint:
    cargo fmt --all --check
    cargo clippy --all-targets --all-features -- -D warnings
    cargo clippy --no-default-features -- -D warnings

# The documentation, as docs.rs has it
doc:
    RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --all-features --open

# A node with its page
node:
    cargo run --release --features cli -- node --http 127.0.0.1:8080

# Benchmarks: `just bench codec`
bench name:
    cargo bench --bench {{name}}
