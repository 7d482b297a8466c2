package storetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// breaks are the faults of drivers that can be made by one call after the other,
// most of them seen in the wild, and the checks that must find each.
var breaks = []struct {
	name   string
	checks string
	breaks func(*naive)
}{
	// What memory does.
	{"keeps the slice", "SlicesNotKept", func(s *naive) { s.in = same }},
	{"returns its own slice", "SlicesReturned", func(s *naive) { s.out = same }},
	{"seals in place", "SlicesNotChanged", func(s *naive) {
		s.in = func(b []byte) []byte {
			kept := bytes.Clone(b)
			b[0]++
			return kept
		}
	}},
	{"appends to the slice", "SlicesNotChanged", func(s *naive) {
		s.in = func(b []byte) []byte { return bytes.Clone(append(b, "trailer"...))[:len(b)] }
	}},

	// What text does.
	{"keys end at a zero", "KeysOfAllBytes", func(s *naive) {
		s.key = func(key external.Key) string {
			text, _, _ := strings.Cut(string(key[:]), "\x00")
			return text
		}
	}},
	{"keys lose a byte", "KeysOfAllBytes KeysOneBitApart", func(s *naive) {
		s.key = func(key external.Key) string { return string(key[:31]) }
	}},
	{"keys are shortened", "KeysOneBitApart", func(s *naive) {
		s.key = func(key external.Key) string { return key.String() }
	}},
	{"keys are UTF-8", "KeysOfAllBytes KeysOneBitApart", func(s *naive) {
		s.key = func(key external.Key) string { return strings.ToValidUTF8(string(key[:]), "?") }
	}},
	{"keys have no case", "KeysOfAllBytes", func(s *naive) {
		s.key = func(key external.Key) string { return string(bytes.ToLower(key[:])) }
	}},
	{"values are trimmed", "ValuesOfAllBytes", func(s *naive) {
		s.in = func(b []byte) []byte { return bytes.Clone(bytes.TrimSpace(b)) }
	}},
	{"values end at a zero", "ValuesOfAllBytes", func(s *naive) {
		s.out = func(b []byte) []byte { return bytes.Clone(cutAtZero(b)) }
	}},
	{"values are UTF-8", "ValuesOfAllBytes", func(s *naive) {
		s.in = func(b []byte) []byte { return bytes.ToValidUTF8(b, []byte("?")) }
	}},
	{"values end at 16 KiB", "Sizes", func(s *naive) {
		s.in = func(b []byte) []byte { return bytes.Clone(b[:min(len(b), 16<<10)]) }
	}},

	// What clocks do.
	{"nothing expires", "ExpiredAlready ExpiryZones", func(s *naive) {
		s.expired = func(time.Time, kept) bool { return false }
	}},
	{"all but the dead expires", "PutGet FarExpiry", func(s *naive) {
		s.expired = func(now time.Time, e kept) bool { return !now.After(e.expires) }
	}},
	{"the epoch is never", "ExpiredAlready", func(s *naive) {
		s.expired = func(now time.Time, e kept) bool { return e.expires.Unix() > 0 && now.After(e.expires) }
	}},
	{"the zero time is never", "ExpiredAlready", func(s *naive) {
		s.expired = func(now time.Time, e kept) bool { return !e.expires.IsZero() && now.After(e.expires) }
	}},
	{"over 30 days is an instant of 1970", "FarExpiry", func(s *naive) {
		s.expired = func(now time.Time, e kept) bool {
			return now.After(e.expires) || e.expires.Sub(e.put) > 30*24*time.Hour
		}
	}},
	{"times lose their zone", "ExpiryZones", func(s *naive) {
		s.expired = func(now time.Time, e kept) bool {
			wall, _ := time.Parse(time.DateTime, e.expires.Format(time.DateTime))
			return now.After(wall)
		}
	}},
	{"the first expiry stays", "Expiry", func(s *naive) { s.keepTimes = true }},

	// What errors do.
	{"its own error where there is nothing", "Absent Take Delete", func(s *naive) {
		s.absent = func(external.Key) error { return errors.New("no rows") }
	}},
	{"no error where there is nothing", "Absent Take Delete", func(s *naive) {
		s.absent = func(external.Key) error { return nil }
	}},
	{"the key in hex", "ErrorsKeepSecrets", func(s *naive) { s.absent = absentWith("%x") }},
	{"the key as a string", "ErrorsKeepSecrets", func(s *naive) { s.absent = absentWith("%s") }},
	{"the key quoted", "ErrorsKeepSecrets", func(s *naive) { s.absent = absentWith("%q") }},
	{"the key as numbers", "ErrorsKeepSecrets", func(s *naive) { s.absent = absentWith("%d") }},
	{"the key as Go", "ErrorsKeepSecrets", func(s *naive) { s.absent = absentWith("%#v") }},
	{"the key in base64", "ErrorsKeepSecrets", func(s *naive) {
		s.done = func(ctx context.Context, key external.Key) error {
			return wrapped(ctx.Err(), base64.RawURLEncoding.EncodeToString(key[:]))
		}
	}},

	// What contexts do.
	{"the context is not heeded", "DoneContext", func(s *naive) {
		s.done = func(context.Context, external.Key) error { return nil }
	}},
	{"out of time is not found", "DoneContext", func(s *naive) {
		s.done = func(ctx context.Context, _ external.Key) error {
			if ctx.Err() != nil {
				return external.ErrNotFound
			}
			return nil
		}
	}},
}

func same(b []byte) []byte { return b }

func cutAtZero(b []byte) []byte {
	before, _, _ := bytes.Cut(b, []byte{0})
	return before
}

func absentWith(verb string) func(external.Key) error {
	return func(key external.Key) error { return wrapped(external.ErrNotFound, fmt.Sprintf(verb, key[:])) }
}

func wrapped(err error, text string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %s: %w", text, err)
}

func TestNaiveIsSound(t *testing.T) {
	t.Parallel()
	Run(t, func(testing.TB) external.Store { return newNaive() })
}

func TestBrokenStores(t *testing.T) {
	for _, broken := range breaks {
		for _, check := range named(t, storeChecks, broken.checks) {
			t.Run(broken.name+"/"+check.name, func(t *testing.T) {
				t.Parallel()
				s := newNaive()
				broken.breaks(s)
				wantFailure(t, func(t tester) { check.run(&probe{t, s}) })
			})
		}
	}
}
