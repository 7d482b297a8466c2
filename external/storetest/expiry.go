package storetest

import (
	"time"

	"github.com/halfshake/halfshake/external"
)

// granularity is how long after its expiry an entry may be found.
const granularity = 2 * time.Second

// checkExpiry makes all its entries at once, so that it waits only once.
func checkExpiry(p *probe) {
	got, taken, deleted, shortened, extended, renewed := newKey(), newKey(), newKey(), newKey(), newKey(), newKey()
	value, newer := newValue(100), newValue(100)
	later := time.Now().Add(time.Hour)
	soon := time.Now().Add(time.Second)

	for _, key := range []external.Key{got, taken, deleted, extended, renewed} {
		p.putUntil(key, value, soon)
	}
	p.putUntil(shortened, value, later)
	p.putUntil(shortened, newer, soon)
	p.putUntil(extended, newer, later)
	p.want(extended, newer)

	p.wantExpired(got, soon)
	p.wantExpired(shortened, soon)
	p.wantAbsent(taken)
	p.delete(deleted)
	p.putUntil(renewed, newer, later)
	time.Sleep(200 * time.Millisecond) // for one that sweeps, and is behind
	p.want(renewed, newer)
	p.want(extended, newer)
}

// wantExpired waits until key is absent, up to the granularity after expires.
func (p *probe) wantExpired(key external.Key, expires time.Time) {
	p.Helper()
	for p.get(key) != nil {
		if late := time.Since(expires); late > granularity {
			fatalf(p, "Get(%v) found an entry %v after it expired", key, late.Round(time.Millisecond))
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.wantAbsent(key)
}

// checkExpiredAlready puts entries with times that a driver may take for no time at all.
func checkExpiredAlready(p *probe) {
	times := []time.Time{
		time.Now().Add(-time.Minute),
		time.Now().Add(-24 * time.Hour),
		time.Unix(1, 0),
		time.Unix(0, 0), // in memcached, never
		time.Unix(-1, 0),
		{},
	}
	for _, expires := range times {
		key := newKey()
		p.putUntil(key, newValue(100), expires)
		p.wantAbsent(key)
	}
}

// checkFarExpiry puts entries with an expiry that memcached could take for a time in 1970,
// and with one beyond the longest life of any session.
func checkFarExpiry(p *probe) {
	for _, life := range []time.Duration{time.Minute, 7 * 24 * time.Hour, 31 * 24 * time.Hour, 400 * 24 * time.Hour} {
		key, value := newKey(), newValue(100)
		p.putUntil(key, value, time.Now().Add(life))
		p.want(key, value)
	}
}

// checkExpiryZones requires that an instant means the same in every time zone, and with a
// fraction of a second.
func checkExpiryZones(p *probe) {
	for _, hours := range []int{-12, 0, 14} {
		zone := time.FixedZone("", hours*3600)
		key, value := newKey(), newValue(100)
		p.putUntil(key, value, time.Now().Add(time.Minute+time.Nanosecond).In(zone))
		p.want(key, value)

		expired := newKey()
		p.putUntil(expired, value, time.Now().Add(-time.Minute).In(zone))
		p.wantAbsent(expired)
	}
}
