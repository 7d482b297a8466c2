package main

import (
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// TestMaxLineageAge: what the flag says, in the words of Config.MaxLineageAge.
func TestMaxLineageAge(t *testing.T) {
	for args, want := range map[string]time.Duration{
		"": 0, "--max-lineage-age=0s": 0, "--max-lineage-age=24h": 24 * time.Hour,
		"--max-lineage-age=off": -1, "--max-lineage-age=-1s": -time.Second,
	} {
		var c commands
		line := []string{"serve"}
		if args != "" {
			line = append(line, args)
		}
		if _, err := kong.Must(&c, kong.ExplicitGroups(flagGroups), flagValues()).Parse(line); err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		s := &server{flags: &c.Serve, files: &tlsFiles{}}
		if got := s.cacheConfig().MaxLineageAge; got != want {
			t.Errorf("%s: %v, want %v", args, got, want)
		}
	}
}
