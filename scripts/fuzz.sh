#!/usr/bin/env bash
# Runs fuzz targets one after another: those named as pairs of a package and a
# target, or every target of the workspace, which the test binaries list.
source "$(dirname "$0")/lib.sh"

fuzztime=${1:?usage: fuzz.sh TIME [PACKAGE TARGET]...}
shift
failed=()
found=0

# fuzz runs one target of a package.
fuzz() {
	found=$((found + 1))
	say "$2 in $1 for $fuzztime"
	go test -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" -fuzzminimizetime 20x "$1" </dev/null ||
		failed+=("$1.$2")
}

# fuzz_all runs every target of the workspace.
fuzz_all() {
	local packages package targets target
	load_modules
	packages=$(go list "${patterns[@]}")
	while read -r package; do
		targets=$(go test -list '^Fuzz' "$package") || fail "the tests of $package do not build"
		for target in $(grep '^Fuzz' <<<"$targets" || true); do
			fuzz "$package" "$target"
		done
	done <<<"$packages"
	((found > 0)) || fail 'the workspace has no fuzz target'
}

(($# > 0)) || fuzz_all
while (($# > 0)); do
	go test -list "^${2:?usage: fuzz.sh TIME [PACKAGE TARGET]...}\$" "$1" | grep -x "$2" >/dev/null || fail "$1 has no target $2"
	fuzz "$1" "$2"
	shift 2
done
((${#failed[@]} == 0)) || fail "failed: ${failed[*]}"
say "$found fuzz targets, no failure"
