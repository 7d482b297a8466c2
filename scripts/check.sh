#!/usr/bin/env bash
# The checks that run no test.
source "$(dirname "$0")/lib.sh"

unformatted=$(gofmt -l .)
[[ -z $unformatted ]] || fail "not formatted, run make fmt: ${unformatted//$'\n'/ }"

load_modules

say 'go vet'
# Without the workspace: each module must build by itself.
for dir in "${dirs[@]}"; do
	(cd "$dir" && GOWORK=off go vet ./...) || fail "go vet failed in the module $dir"
done

say "staticcheck (${STATICCHECK##*@})"
go run "$STATICCHECK" "${patterns[@]}"

# govulncheck needs its database, which many networks do not reach. That is no
# fault of the tree, so only a vulnerability fails.
database=${GOVULNDB:-https://vuln.go.dev}
if ! curl -fsS -m 10 -o /dev/null "$database/index/modules.json" 2>/dev/null; then
	say "govulncheck did not run: its database at $database cannot be reached from here"
	exit 0
fi
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
if ! GOBIN=$tools GOFLAGS='' timeout 180 go install "$GOVULNCHECK" 2>"$tools/log"; then
	say "govulncheck did not run: it could not be built: $(tail -n 1 "$tools/log")"
	exit 0
fi
say "govulncheck (${GOVULNCHECK##*@})"
for pattern in "${patterns[@]}"; do
	code=0
	timeout 300 "$tools/govulncheck" -db "$database" "$pattern" >"$tools/log" 2>&1 || code=$?
	case $code in
	0) ;;
	3) # vulnerabilities that the code calls
		cat "$tools/log"
		fail "govulncheck found the vulnerabilities above in $pattern: update what it names"
		;;
	*) say "govulncheck did not finish for $pattern (exit $code): $(tail -n 1 "$tools/log")" ;;
	esac
done
