#!/usr/bin/env bash
# Runs every fuzz target of the workspace, one after another. The targets are
# asked of the test binaries.
source "$(dirname "$0")/lib.sh"

fuzztime=${1:?usage: fuzz.sh TIME}
load_modules
packages=$(go list "${patterns[@]}")
found=0
failed=()
while read -r package; do
	targets=$(go test -list '^Fuzz' "$package") || fail "the tests of $package do not build"
	for target in $(grep '^Fuzz' <<<"$targets" || true); do
		found=$((found + 1))
		say "$target in $package for $fuzztime"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -fuzzminimizetime 20x "$package" </dev/null ||
			failed+=("$package.$target")
	done
done <<<"$packages"
((found > 0)) || fail 'the workspace has no fuzz target'
((${#failed[@]} == 0)) || fail "failed: ${failed[*]}"
say "$found fuzz targets, no failure"
