package main

import (
	"fmt"
	"time"
)

// A duration is the value of a flag for a length of time.
type duration struct{ time.Duration }

// UnmarshalText says what a duration looks like, which time.ParseDuration does not.
func (d *duration) UnmarshalText(text []byte) (err error) {
	d.Duration, err = time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration; give a number and a unit, like 90s, 5m or 24h", text)
	}
	return nil
}
