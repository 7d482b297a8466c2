package storetest

import (
	"maps"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// A disk is what outlives a database that is closed. Save says what is on it
// then, of what was before and what the database has now.
type disk struct {
	saved image
	save  func(before, now image) image
}

type image struct {
	entries map[string]kept
	log     []byte
}

func (d *disk) open() (external.Store, func()) {
	s := newNaive()
	if d.saved.entries != nil {
		s.entries = maps.Clone(d.saved.entries)
	}
	s.log = d.saved.log
	return s, func() { d.saved = d.save(d.saved, image{s.entries, s.log}) }
}

var brokenDatabases = []struct {
	name   string
	checks string
	save   func(before, now image) image
}{
	{"nothing is written", "Kept Removed Log", func(_, _ image) image { return image{} }},
	{"only what was new is written", "Kept", func(before, now image) image {
		maps.Copy(now.entries, before.entries)
		return now
	}},
	{"removals are not written", "Removed", func(before, now image) image {
		all := maps.Clone(before.entries)
		if all == nil {
			return now
		}
		maps.Copy(all, now.entries)
		return image{all, now.log}
	}},
	{"expiry is not written", "Expiry", func(_, now image) image {
		for key, e := range now.entries {
			e.expires = time.Now().Add(time.Hour)
			now.entries[key] = e
		}
		return now
	}},
	{"the log is not written", "Log", func(_, now image) image { return image{entries: now.entries} }},
	{"only the first log is written", "Log", func(before, now image) image {
		if before.log != nil {
			now.log = before.log
		}
		return now
	}},
}

func TestDiskIsSound(t *testing.T) {
	t.Parallel()
	disks := make(map[string]*disk)
	RunPersistent(t, func(t testing.TB, dir string) (external.Store, func()) {
		if disks[dir] == nil {
			disks[dir] = &disk{save: func(_, now image) image { return now }}
		}
		return disks[dir].open()
	})
}

func TestBrokenDatabases(t *testing.T) {
	for _, broken := range brokenDatabases {
		for _, check := range named(t, persistenceChecks, broken.checks) {
			t.Run(broken.name+"/"+check.name, func(t *testing.T) {
				t.Parallel()
				d := &disk{save: broken.save}
				wantFailure(t, func(t tester) { check.run(&database{t, d.open}) })
			})
		}
	}
}
