# shellcheck shell=bash
# What deploy/up says.
say_installing() { echo "Installing packages: $1" >&2; }
say_need_root() { printf 'Packages are missing. Run this in another window; this one goes on by itself:\n  %s\n' "$1" >&2; }
say_fetching() { echo "Fetching $1" >&2; }
say_failed() { echo "Not fetched; see $1" >&2; }
say_checksum() { echo "$1 in $2 has a wrong checksum; remove that folder and run again" >&2; }
say_no_cargo() { echo "cargo is missing; install Rust 1.95 (rustup) and run again" >&2; }
say_building() { echo "Building (some minutes the first time)" >&2; }
say_not_built() { echo "There are no programs in $1; run again without --no-build" >&2; }
say_up() {
  printf 'Vọng Gác is running, its data is in %s. Try next:\n' "$1"
  printf '  %s/vonggac --data %s\n  %s/vonggac --data %s health\n  deploy/status --data %s\n\n' "$2" "$1" "$2" "$1" "$1"
}
