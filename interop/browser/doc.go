// Package browser tests the built-in page in Chromium, driven by a Playwright script. Like the rest of interop, it is never
// released.
//
// The test needs Debian's chromium, Node 20 or later, and the packages that package-lock.json pins (run "npm ci" here). If
// one of them is missing, the test is skipped, or fails if CI=true is set. "go test -update" writes the screenshots in
// docs/img.
package browser
