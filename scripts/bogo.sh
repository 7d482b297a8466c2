#!/usr/bin/env bash
# Runs BoringSSL's test suite for TLS, BoGo, against tls12. It needs a checkout of
# BoringSSL in whose ssl/test/runner the runner has been built: runner.test, as the
# README.md in ssl/test there has it. Nothing of BoringSSL is in this repository.
#
# BOGO_WORKERS is how many tests run at once, BOGO_TEST which (patterns, with a
# semicolon between them; then nothing is said about what is missing), BOGO_OUT
# where to keep the results.
dir=${1:-}
[[ -z $dir ]] || dir=$(realpath -m "$dir")
source "$(dirname "$0")/lib.sh"

[[ -n $dir ]] || fail 'usage: make bogo BOGO_DIR=a checkout of BoringSSL'
runner=$dir/ssl/test/runner/runner.test
[[ -x $runner ]] || fail "there is no $runner: build it with (cd $dir/ssl/test/runner && go test -c), as the README.md beside it says"

out=${BOGO_OUT:-}
if [[ -z $out ]]; then
	out=$(mktemp -d "${TMPDIR:-/tmp}/halfshake-bogo.XXXXXX")
	trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
out=$(realpath "$out")
rm -rf "$out"/{skips,results.json,names}
go build -o "$out/bogo" ./interop/bogo

config=$PWD/interop/bogo/bogo.json
if revision=$(git -C "$dir" rev-parse HEAD 2>/dev/null) && ! grep -q "$revision" "$config"; then
	say "the checkout is at $revision; $config was written for another revision" >&2
fi

say 'BoringSSL'"'"'s test suite, TLS 1.2'
only=()
partial=()
if [[ -n ${BOGO_TEST:-} ]]; then
	only=(-test "$BOGO_TEST")
	partial=(-partial)
fi
# The runner tells the shim the test's name only with -transcript-dir. Which tests
# are disabled is up to the shim, so that each is counted: see interop/bogo.
mkdir "$out/names"
(
	cd "$dir/ssl/test/runner"
	"$runner" -pipe -allow-unimplemented -include-disabled -num-workers "${BOGO_WORKERS:-2}" \
		-shim-path "$out/bogo" -shim-config "$config" -json-output "$out/results.json" \
		-transcript-dir "$out/names" \
		-shim-extra-flags "-config;$config;-skips;$out/skips" "${only[@]}" </dev/null >"$out/log" 2>&1
) || true # the report says how it went
rm -rf "$out/names"
[[ -f $out/results.json ]] || { tail -n 20 "$out/log" >&2 && fail 'the runner wrote no results'; }

code=0
"$out/bogo" report -config "$config" -results "$out/results.json" -skips "$out/skips" "${partial[@]}" || code=$?
if ((code != 0)); then
	trap - EXIT
	fail "what the runner said is in $out/log"
fi
