// Package browser holds the test of the built-in page in Chromium, driven by a script over Playwright. Like the rest of
// interop it is never released.
//
// It needs Debian's chromium, Node 20 or later, and what package-lock.json pins ("npm ci" here). Where one of them is
// missing the test skips; where the environment says CI=true it fails. "go test -update" writes the screenshots in
// docs/img.
package browser
