#!/usr/bin/env bash
# Every test of every module, with the race detector. All that they print, log
# and record is kept in a run folder and searched for secrets afterwards.
source "$(dirname "$0")/lib.sh"

keep=yes
if [[ -z ${HALFSHAKE_RUN_DIR:-} ]]; then
	HALFSHAKE_RUN_DIR=$(mktemp -d "${TMPDIR:-/tmp}/halfshake-run.XXXXXX")
	keep=no
fi
mkdir -p "$HALFSHAKE_RUN_DIR"/{logs,secrets}
HALFSHAKE_RUN_DIR=$(realpath "$HALFSHAKE_RUN_DIR") # the tests run elsewhere
export HALFSHAKE_RUN_DIR

race=-race
if ! command -v "${CC:-gcc}" >/dev/null; then
	say 'no C compiler, so the tests run without the race detector' >&2
	race=
fi

load_modules
say "go test ${race:+-race }${patterns[*]}"
code=0
go test $race -v "${patterns[@]}" </dev/null 2>&1 |
	tee "$HALFSHAKE_RUN_DIR/logs/go-test.log" |
	awk -f scripts/testlog.awk || code=$?

say 'the output, searched for the ids and secrets made in it:'
go run ./internal/secretscan "$HALFSHAKE_RUN_DIR" || code=$?

if ((code != 0)); then
	fail "failed; the whole output is in $HALFSHAKE_RUN_DIR"
fi
[[ $keep == yes ]] || rm -rf "$HALFSHAKE_RUN_DIR"
