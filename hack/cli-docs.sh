#!/usr/bin/env bash
# Writes docs/cli.md, the reference of the command line, from the commands themselves.
#   hack/cli-docs.sh            writes it
#   hack/cli-docs.sh --check    fails where it is not what would be written; a part of `make check`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

reference=docs/cli.md
made=$(mktemp)
trap 'rm -f "$made"' EXIT
.venv/bin/typer iothub.app utils docs --name iothub --title "The command line" --output "$made" >/dev/null

if [ "${1:-}" = --check ]; then
  diff -u "$reference" "$made" >&2 || { echo "cli-docs: $reference is not what the commands say: run 'make docs'" >&2; exit 1; }
else
  mkdir -p docs
  cat "$made" >"$reference"
fi
