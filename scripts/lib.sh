# shellcheck shell=bash
# Sourced by the other scripts: strict mode, and what they share.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'make: %s\n' "$*"; }
fail() {
	printf 'make: %s\n' "$*" >&2
	exit 1
}

command -v go >/dev/null || fail 'no go command: install Go 1.26 or later from https://go.dev/dl/'

# modules prints the directory of each module of the workspace.
modules() {
	go work edit -json | sed -n 's/^.*"DiskPath": "\(.*\)".*$/\1/p'
}

# module_dirs prints those of them that hold packages, and says so of the others:
# a module may be there before its first file is. One that does not load is
# printed too, for the next command to fail on.
module_dirs() {
	local dir list
	while read -r dir; do
		list=$(go list "$dir/..." 2>/dev/null || echo broken)
		if [[ -z $list ]]; then
			say "no packages yet in the module $dir" >&2
		else
			printf '%s\n' "$dir"
		fi
	done < <(modules)
}

# load_modules sets dirs, and patterns with a package pattern for each.
load_modules() {
	local list
	list=$(module_dirs)
	[[ -n $list ]] || fail 'go.work names no module that has packages'
	mapfile -t dirs <<<"$list"
	# shellcheck disable=SC2034 # the callers read it
	patterns=("${dirs[@]/%//...}")
}
