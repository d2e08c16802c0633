# `just` lists these; each is one step of the gate, or what a contributor types most.

export RUSTC_BOOTSTRAP := "1"

_default:
    @just --justfile {{justfile()}} --list

# Types and borrows
check:
    cargo check --workspace --all-targets

# Formatting, lints, documentation
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# All tests
test:
    cargo test

# Write again what is generated from the program's own definitions
bless:
    SSMX_BLESS=1 cargo test --test it generated

# A shell in the sandbox
sandbox target="prod-web":
    cargo run -p ssmx-sandbox -- connect {{target}}

# The whole gate
ci:
    .ci/run
