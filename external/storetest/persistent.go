package storetest

import (
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
)

// RunPersistent checks that a database keeps what it acknowledged when it is closed and
// opened again. Calls of open with the same dir open the same database. The directory is
// empty at first; a driver whose database is elsewhere takes dir as a name. Close does
// what the driver promises to survive: a crash, or an orderly end.
//
// RunPersistent takes some two seconds.
func RunPersistent(t *testing.T, open func(t testing.TB, dir string) (store external.Store, close func())) {
	for _, check := range persistenceChecks {
		t.Run(check.name, func(t *testing.T) {
			dir := t.TempDir()
			check.run(&database{t, func() (external.Store, func()) { return open(t, dir) }})
		})
	}
}

var persistenceChecks = []check[*database]{
	{"Kept", checkKept},
	{"Removed", checkStaysRemoved},
	{"Expiry", checkExpiryKept},
	{"Log", checkLogKept},
}

// A database is a store that can be opened again and again.
type database struct {
	tester
	open func() (external.Store, func())
}

// session opens the database, lets f use it, and closes it.
func (d *database) session(f func(*probe)) {
	d.Helper()
	store, close := d.open()
	defer close()
	f(&probe{d.tester, store})
}

func checkKept(d *database) {
	const entries = 50
	var keys []external.Key
	for range entries {
		keys = append(keys, newKey())
	}
	d.session(func(p *probe) {
		p.spread(entries, func(p *probe, i int) { p.put(keys[i], numbered(keys[i], 1)) })
		p.spread(entries/2, func(p *probe, i int) { p.put(keys[i], numbered(keys[i], 2)) })
	})
	for generation := range uint64(2) {
		d.session(func(p *probe) {
			p.spread(entries/2, func(p *probe, i int) { p.want(keys[i], numbered(keys[i], 2+generation)) })
			p.spread(entries/2, func(p *probe, i int) { p.want(keys[i+entries/2], numbered(keys[i+entries/2], 1)) })
			p.spread(entries/2, func(p *probe, i int) { p.put(keys[i], numbered(keys[i], 3+generation)) })
		})
	}
}

func checkStaysRemoved(d *database) {
	deleted, taken, again := newKey(), newKey(), newKey()
	value := newValue(100)
	d.session(func(p *probe) {
		p.put(deleted, value)
		p.put(taken, value)
		p.put(again, value)
	})
	d.session(func(p *probe) {
		p.delete(deleted)
		p.wantTaken(taken, value)
		p.delete(again)
		p.put(again, value)
	})
	d.session(func(p *probe) {
		p.wantAbsent(deleted)
		p.wantAbsent(taken)
		p.want(again, value)
	})
}

// checkExpiryKept puts an entry that expires while the database is closed, one that
// expires after it was opened again, and one that does not expire.
func checkExpiryKept(d *database) {
	closed, opened, kept := newKey(), newKey(), newKey()
	value := newValue(100)
	first := time.Now().Add(time.Second)
	second := first.Add(time.Second)
	d.session(func(p *probe) {
		p.putUntil(closed, value, first)
		p.putUntil(opened, value, second)
		p.put(kept, value)
	})
	time.Sleep(time.Until(first))
	d.session(func(p *probe) {
		p.wantExpired(closed, first)
		p.wantExpired(opened, second)
		p.want(kept, value)
	})
}

func checkLogKept(d *database) {
	first, second := newValue(100), newValue(3000)
	generations := []func(*logProbe){
		func(p *logProbe) { p.wantSwap(nil, first) },
		func(p *logProbe) { p.want(first); p.wantSwap(first, second) },
		func(p *logProbe) { p.wantConflict(second, nil) },
	}
	for _, generation := range generations {
		d.session(func(p *probe) { generation(&logProbe{p.tester, p.store}) })
	}
}
