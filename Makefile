# Everything a contributor and the continuous integration run. `make test` is
# all of it, set-up included.

SHELL := /bin/bash

# The tools, pinned here and nowhere else. They are run by version, so they
# stand in no go.mod.
export STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

FUZZTIME ?= 1m

.PHONY: help test setup check fmt bench fuzz soak bogo screenshots clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

test: setup check ## set-up, checks, every test with the race detector, the search of their output for secrets, and a little fuzzing
	@scripts/test.sh
	@scripts/fuzz.sh 30s ./sslsession FuzzParseReencodes ./sslsession FuzzParsePEM \
		./internal/conformance FuzzScenario . FuzzClientHistory

setup: ## install the missing TLS peers (Debian, as root); elsewhere say what is missing
	@scripts/setup.sh

check: ## gofmt, go vet, staticcheck, and govulncheck where its database can be reached
	@scripts/check.sh

fmt: ## format every Go file
	gofmt -w .

bench: ## the comparison with crypto/tls and other peers
	cd bench && go run .

fuzz: ## every fuzz target in turn, FUZZTIME each (make fuzz FUZZTIME=10m)
	@scripts/fuzz.sh $(FUZZTIME)

soak: ## the flood of 100,000 sessions by real handshakes, the burst, the crowd, 10,000 connections of clients, and 50 kills under load (some minutes each)
	HALFSHAKE_SOAK=1 go test -count=1 -timeout 30m -run '^(TestFlood|TestBurst|TestCrowd)$$' -v .
	cd interop && HALFSHAKE_SOAK=1 go test -count=1 -timeout 30m -run '^TestClientCache$$' -v .
	cd cmd/halfshake && HALFSHAKE_KILLS=50 go test -count=1 -timeout 30m -run '^TestKillLoop$$' -v .

bogo: ## BoringSSL's test suite against tls12 (make bogo BOGO_DIR=a checkout whose runner is built)
	@scripts/bogo.sh "$(BOGO_DIR)"

screenshots: ## the pictures of the page in docs/img
	cd interop && go test -count=1 -timeout 15m -run 'TestPage/TLS' ./browser -update

clean: ## remove what builds and tests leave in the tree
	rm -rf bin interop/browser/node_modules
	find . -name .git -prune -o -type f \( -name '*.test' -o -name '*.out' -o -name '*.prof' \) -exec rm -f {} +
