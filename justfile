# The recipes of the house. `just` lists them; `.ci/run` runs all that must hold, without `just`.

_list:
    @just --list --unsorted

# Everything that takes seconds: do this before each commit
[group('check')]
check: fmt lint

# Formatting
[group('check')]
fmt:
    cargo fmt --all --check

# Lints, as strict as they get
[group('check')]
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, advisories, bans and sources of what we depend on (needs cargo-deny)
[group('check')]
deny:
    cargo deny check

# What the README promises: a toolchain and a C compiler suffice
[group('test')]
test *arguments:
    cargo test --workspace {{arguments}}

# The tests that need more tools
[group('test')]
test-tools:
    cargo test --workspace -- --ignored

# Who may import whom
[group('test')]
layers:
    cargo test -p outrigger --test system layers

# The help texts, after a change of the command line
[group('test')]
help:
    UPDATE_HELP=1 cargo test -p outrigger the_help_is

# All that must hold, as root on Debian
[group('test')]
ci:
    .ci/run

# The reference of every room
[group('docs')]
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# A first look: two address books, kept the same
[group('docs')]
demo:
    cargo run --release -- demo

# Optimised build
[group('bench')]
release:
    cargo build --release --workspace

# One call, and 64 at once, against a bare socket pair
[group('bench')]
bench-calls:
    cargo bench -p outrigger-broker --bench calls

# A sync with nothing to do, by how many items there are, and a thousand in a row
[group('bench')]
bench-idle *args:
    cargo bench -p outrigger --bench sync -- {{args}}

# A sync of 10,000 vCards against vdirsyncer, which must be installed
[group('bench')]
bench-sync *args: release
    scripts/bench-sync.py {{args}}

# Feed damaged input to TARGET for a while (needs a nightly toolchain and cargo-fuzz)
[group('fuzz')]
fuzz target seconds="60":
    cd fuzz && cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# Compile for Windows and carry a real named pipe under Wine (on Debian)
[group('windows')]
windows:
    scripts/windows.sh

# The golden vectors on an emulated machine of the other byte order
[group('test')]
big-endian:
    scripts/big-endian.sh

# The tests of the sandbox on an emulated machine with another kernel (on Debian)
[group('test')]
other-kernel:
    scripts/vm.sh

# Only compile for Windows
[group('windows')]
windows-build:
    scripts/windows.sh build
