package main

import (
	"fmt"
	"time"
)

// noLineageAge is the value of [halfshake.Config.MaxLineageAge] for no limit.
const noLineageAge time.Duration = -1

// A lineageAge is the value of --max-lineage-age, in the form of
// [halfshake.Config.MaxLineageAge]: 0 means the default, a negative duration no limit.
type lineageAge time.Duration

// UnmarshalText accepts a duration, or "off" for no limit.
func (a *lineageAge) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*a = lineageAge(noLineageAge)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; give one like 24h, or off for no limit", text)
	}
	*a = lineageAge(d)
	return nil
}
