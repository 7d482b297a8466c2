package halfshake

import "sync/atomic"

// Stats are the counters of a [Cache] since it was made: OpenSSL's of
// SSL_CTX_sess_number(3), by the same names in JSON, and one for each reason of
// refusal. They are read one by one, so a snapshot taken during a handshake may
// be one apart from itself.
type Stats struct {
	// Number is how many sessions the internal cache holds now, and Bytes what
	// they are accounted at.
	Number uint64 `json:"number"`
	Bytes  uint64 `json:"bytes"`

	Connect            uint64 `json:"connect"`
	ConnectGood        uint64 `json:"connect_good"`
	ConnectRenegotiate uint64 `json:"connect_renegotiate"`

	// Accept counts the ClientHellos that a server of this cache read,
	// AcceptGood the handshakes that were completed. There is no renegotiation
	// in a server on crypto/tls, so AcceptRenegotiate stays 0.
	Accept            uint64 `json:"accept"`
	AcceptGood        uint64 `json:"accept_good"`
	AcceptRenegotiate uint64 `json:"accept_renegotiate"`

	// Hits counts the handshakes that resumed a session.
	Hits uint64 `json:"hits"`
	// CBHits counts the sessions that the Get callback found, whatever the
	// ladder then said of them.
	CBHits uint64 `json:"cb_hits"`
	// Misses counts the proposed ids that the internal cache was asked for and
	// did not know.
	Misses uint64 `json:"misses"`
	// Timeouts counts the proposed sessions that were found and had expired.
	Timeouts uint64 `json:"timeouts"`
	// CacheFull counts the sessions that were evicted from a full cache.
	CacheFull uint64 `json:"cache_full"`

	// Refused counts by reason; every reason is present.
	Refused map[Refusal]uint64 `json:"refused"`

	// ClosedSilent counts the connections that a listener closed before their
	// ClientHello was whole, because others waited for their place; see
	// Config.MaxPending.
	ClosedSilent uint64 `json:"closed_silent"`
}

type counters struct {
	accept, acceptGood, hits, cbHits, misses, timeouts, cacheFull atomic.Uint64

	refused [endOfRefusals]atomic.Uint64

	closedSilent atomic.Uint64
}

func (c *counters) refuse(r Refusal) { c.refused[r].Add(1) }

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	n := &c.counters
	s := Stats{
		Number: uint64(c.internal.Len()), Bytes: uint64(c.internal.Bytes()),
		Accept: n.accept.Load(), AcceptGood: n.acceptGood.Load(),
		Hits: n.hits.Load(), CBHits: n.cbHits.Load(), Misses: n.misses.Load(),
		Timeouts: n.timeouts.Load(), CacheFull: n.cacheFull.Load(),
		Refused: make(map[Refusal]uint64, endOfRefusals-1), ClosedSilent: n.closedSilent.Load(),
	}
	for r := Refusal(1); r < endOfRefusals; r++ {
		s.Refused[r] = n.refused[r].Load()
	}
	return s
}
