package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/external"
)

// A collector turns a snapshot of the counters into Prometheus's form.
type collector struct{ stats func() stats }

// The metrics. The counters have OpenSSL's names, from SSL_CTX_sess_number(3).
var (
	sessionsMetric     = describe("sessions", "Sessions in the internal cache.")
	sessionBytesMetric = describe("session_bytes", "Memory that these sessions take, as the cache accounts for it.")
	acceptMetric       = describe("accept_total", "ClientHellos read.")
	acceptGoodMetric   = describe("accept_good_total", "Handshakes completed.")
	hitsMetric         = describe("hits_total", "Handshakes that resumed a session.")
	cbHitsMetric       = describe("cb_hits_total", "Sessions that the store found.")
	missesMetric       = describe("misses_total", "Session ids that the internal cache did not have.")
	timeoutsMetric     = describe("timeouts_total", "Sessions found that had expired.")
	cacheFullMetric    = describe("cache_full_total", "Sessions evicted from a full internal cache.")
	refusedMetric      = describe("refused_total", "Sessions that were not resumed, or not cached, by reason.", "reason")
	resumedAgesMetric  = describe("resumed_age_total", "Sessions that resumed, by their age.", "age")
	expiredAgesMetric  = describe("expired_age_total", "Sessions that were refused as expired, by their age.", "age")
	closedSilentMetric = describe("closed_silent_total", "Connections closed to make room for others before they sent a whole ClientHello.")
	tombstonesMetric   = describe("tombstones", "Removed sessions and lineages that are remembered, so that they do not come back.")
	pendingMetric      = describe("removals_pending", "Removals that the store has not recorded, and that a crash would undo.")

	storeReadsMetric   = describe("store_reads_total", "Session ids looked up outside the internal cache, by outcome; foreign and removed ones cost no read.", "outcome")
	storePutsMetric    = describe("store_puts_total", "Sessions for the store, by outcome.", "outcome")
	storeDeletesMetric = describe("store_deletes_total", "Removals from the store, by outcome.", "outcome")
	storeQueuedMetric  = describe("store_queued", "Writes waiting.")
	storeAnswersMetric = describe("store_answers", "Whether the store answers, by operation.", "operation")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("halfshake_"+name, help, labels, nil)
}

var _ prometheus.Collector = collector{}

// Describe leaves the description to Collect: a server without a store has fewer
// metrics.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the counters as they are now.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s := c.stats()
	gauge(out, sessionsMetric, s.Number)
	gauge(out, sessionBytesMetric, s.Bytes)
	count(out, acceptMetric, s.Accept)
	count(out, acceptGoodMetric, s.AcceptGood)
	count(out, hitsMetric, s.Hits)
	count(out, cbHitsMetric, s.CBHits)
	count(out, missesMetric, s.Misses)
	count(out, timeoutsMetric, s.Timeouts)
	count(out, cacheFullMetric, s.CacheFull)
	count(out, closedSilentMetric, s.ClosedSilent)
	gauge(out, tombstonesMetric, s.Tombstones)
	for reason, n := range s.Refused {
		count(out, refusedMetric, n, reason.String())
	}
	for i, age := range ages {
		count(out, resumedAgesMetric, s.ResumedAges[i], age)
		count(out, expiredAgesMetric, s.ExpiredAges[i], age)
	}
	if s.Store != nil {
		collectStore(out, s.Store)
	}
}

// ages are the labels of [halfshake.Ages].
var ages = [len(halfshake.Ages{})]string{"<1s", "<10s", "<1m", "<5m", "<30m", "<2h", "<24h", "older"}

func collectStore(out chan<- prometheus.Metric, s *external.Stats) {
	for outcome, n := range map[string]uint64{
		"hit": s.Hits, "not_found": s.NotFound, "removed": s.Removed, "foreign": s.Foreign,
		"unreadable": s.Unreadable, "failed": s.ReadFailed, "skipped": s.ReadSkipped, "limited": s.ReadLimited,
	} {
		count(out, storeReadsMetric, n, outcome)
	}
	for outcome, n := range map[string]uint64{"done": s.Put, "failed": s.PutFailed, "dropped": s.PutDropped} {
		count(out, storePutsMetric, n, outcome)
	}
	for outcome, n := range map[string]uint64{"done": s.Deleted, "failed": s.DeleteFailed, "dropped": s.DeleteDropped} {
		count(out, storeDeletesMetric, n, outcome)
	}
	gauge(out, storeQueuedMetric, s.Queued)
	gauge(out, pendingMetric, s.RemovalsPending)
	for operation, answers := range map[string]bool{
		"read": s.Reading, "put": s.Putting, "delete": s.Deleting, "take": s.Taking, "record": s.Recording,
	} {
		gauge(out, storeAnswersMetric, one(answers), operation)
	}
}

func count(out chan<- prometheus.Metric, d *prometheus.Desc, n uint64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, n uint64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
