package halfshake

import (
	"sync/atomic"
	"time"
)

// Stats are the counters of a [Cache] since it was made: those of OpenSSL's
// SSL_CTX_sess_number(3), with the same names in JSON, and one for each [Refusal]. They
// are read one by one, so in a snapshot taken during a handshake two related counters
// may differ by one.
type Stats struct {
	// Number is how many sessions the internal cache holds now. Bytes is how much
	// memory it accounts for them.
	Number uint64 `json:"number"`
	Bytes  uint64 `json:"bytes"`

	// Connect counts the handshakes that clients began, and ConnectGood those that went
	// well, when VerifyConnection has agreed. ConnectRenegotiate stays 0: ClientConfig
	// accepts no configuration that renegotiates.
	Connect            uint64 `json:"connect"`
	ConnectGood        uint64 `json:"connect_good"`
	ConnectRenegotiate uint64 `json:"connect_renegotiate"`

	// Accept counts the ClientHellos that servers of this cache read. AcceptGood counts
	// completed handshakes, when the client's Finished is verified. Under
	// [Cache.ServerConfig] it counts them earlier, at VerifyConnection.
	// AcceptRenegotiate stays 0, because servers on crypto/tls do not renegotiate.
	Accept            uint64 `json:"accept"`
	AcceptGood        uint64 `json:"accept_good"`
	AcceptRenegotiate uint64 `json:"accept_renegotiate"`

	// Hits counts the handshakes that resumed a session, of both sides.
	Hits uint64 `json:"hits"`
	// CBHits counts the sessions that the Get callback found, even those that were
	// then refused.
	CBHits uint64 `json:"cb_hits"`
	// Misses counts the ids that clients proposed to a server and that the internal cache
	// did not find, and the sessions that a client offered and its server did not resume.
	Misses uint64 `json:"misses"`
	// Timeouts counts the sessions that had expired, of those that clients proposed to a
	// server or that a client looked at to offer one.
	Timeouts uint64 `json:"timeouts"`
	// CacheFull counts the sessions that were evicted from a full cache.
	CacheFull uint64 `json:"cache_full"`

	// Refused counts by reason; every reason is present.
	Refused map[Refusal]uint64 `json:"refused"`

	// Tombstones is how many removals of single sessions and of lineages are remembered
	// now. All lineages that began at Floor or earlier have been removed; it is zero if
	// none were removed that way. RemovalsPending is how many removals the external
	// cache has not recorded. The Cache goes on trying if the End callback failed. It
	// cannot if End is not set or the Remove callback failed, and counts those for good.
	// What a Remove callback returned from and still has to do is not in here: package
	// external has figures of its own.
	Tombstones      uint64    `json:"tombstones"`
	Floor           time.Time `json:"floor,omitzero"`
	RemovalsPending uint64    `json:"removals_pending"`

	// ResumedAges counts the sessions that resumed, by their age at that time.
	// ExpiredAges counts those that were refused as expired.
	ResumedAges Ages `json:"resumed_ages"`
	ExpiredAges Ages `json:"expired_ages"`

	// ClosedSilent counts the connections that a listener closed to make room for
	// others, before they had sent a whole ClientHello; see Config.MaxPending.
	ClosedSilent uint64 `json:"closed_silent"`
}

// Ages counts sessions by age: under a second, ten seconds, a minute, five minutes,
// half an hour, two hours, a day, and older.
type Ages [8]uint64

// ageBounds are the upper bounds of all Ages but the last.
var ageBounds = [len(Ages{}) - 1]time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute,
	30 * time.Minute, 2 * time.Hour, 24 * time.Hour}

// ageCounters are the live counters behind Ages.
type ageCounters [len(Ages{})]atomic.Uint64

func (a *ageCounters) add(age time.Duration) {
	i := 0
	for i < len(ageBounds) && age >= ageBounds[i] {
		i++
	}
	a[i].Add(1)
}

func (a *ageCounters) load() (ages Ages) {
	for i := range a {
		ages[i] = a[i].Load()
	}
	return ages
}

type counters struct {
	connect, connectGood, accept, acceptGood, hits, cbHits, misses, timeouts, cacheFull atomic.Uint64

	resumedAges, expiredAges ageCounters

	refused [endOfRefusals]atomic.Uint64

	closedSilent atomic.Uint64
}

func (c *counters) refuse(r Refusal) { c.refused[r].Add(1) }

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	n := &c.counters
	s := Stats{
		Number: uint64(c.internal.Len()), Bytes: uint64(c.internal.Bytes()),
		Connect: n.connect.Load(), ConnectGood: n.connectGood.Load(),
		Accept: n.accept.Load(), AcceptGood: n.acceptGood.Load(),
		Hits: n.hits.Load(), CBHits: n.cbHits.Load(), Misses: n.misses.Load(),
		Timeouts: n.timeouts.Load(), CacheFull: n.cacheFull.Load(),
		Tombstones: uint64(c.removed.Len() + c.lineages.Len()), RemovalsPending: c.notRecorded(),
		ResumedAges: n.resumedAges.load(), ExpiredAges: n.expiredAges.load(), ClosedSilent: n.closedSilent.Load(),
		Refused: make(map[Refusal]uint64, endOfRefusals-1),
	}
	if floor := c.floor.Load(); floor > 0 {
		s.Floor = time.UnixMilli(floor)
	}
	for r := Refusal(1); r < endOfRefusals; r++ {
		s.Refused[r] = n.refused[r].Load()
	}
	return s
}
