package main

import (
	"maps"
	"slices"

	"github.com/halfshake/halfshake"
)

// A figure is a counter and its description.
type figure struct {
	Name  string // as /live.json spells it
	Value uint64
	Means string
}

// Counters are OpenSSL's counters that a server moves.
func (s snapshot) Counters() []figure {
	n := s.Stats
	return []figure{
		{"number", n.Number, "Sessions that the cache holds now."},
		{"bytes", n.Bytes, "Bytes of memory that they take, as the cache accounts for it."},
		{"accept", n.Accept, "Handshakes begun: ClientHellos read."},
		{"accept_good", n.AcceptGood, "Handshakes completed, full and resumed."},
		{"hits", n.Hits, "Handshakes that resumed a session; each saved a signature."},
		{"cb_hits", n.CBHits, "Sessions that the external cache had."},
		{"misses", n.Misses, "Sessions offered that the cache did not have."},
		{"timeouts", n.Timeouts, "Sessions offered after they had expired."},
		{"cache_full", n.CacheFull, "Sessions evicted because the cache was full."},
		{"tombstones", n.Tombstones, "Removals that the cache remembers now."},
		{"removals_pending", n.RemovalsPending, "Removals that the store has not recorded yet."},
		{"closed_silent", n.ClosedSilent, "Connections closed before their ClientHello, to make room for others."},
	}
}

// Still are OpenSSL's counters that a server on these engines never moves.
func (s snapshot) Still() []figure {
	n := s.Stats
	return []figure{
		{"connect", n.Connect, "Handshakes begun as a client."},
		{"connect_good", n.ConnectGood, "Handshakes completed as a client."},
		{"connect_renegotiate", n.ConnectRenegotiate, "Renegotiations as a client."},
		{"accept_renegotiate", n.AcceptRenegotiate, "Renegotiations as a server; always 0."},
	}
}

// Refusals are all reasons of refusal, in the order of the ladder.
func (s snapshot) Refusals() []figure {
	var all []figure
	for _, r := range slices.Sorted(maps.Keys(s.Stats.Refused)) {
		all = append(all, figure{r.String(), s.Stats.Refused[r], refusalWords[r]})
	}
	return all
}

// Refused reports whether any reason has occurred.
func (s snapshot) Refused() bool {
	return slices.ContainsFunc(s.Refusals(), func(f figure) bool { return f.Value > 0 })
}

// Full is how many completed handshakes did not resume a session.
func (s snapshot) Full() uint64 { return s.Stats.AcceptGood - min(s.Stats.Hits, s.Stats.AcceptGood) }

// Share is the percentage of the completed handshakes that resumed.
func (s snapshot) Share() uint64 {
	return 100 * s.Stats.Hits / max(1, s.Stats.AcceptGood, s.Stats.Hits)
}

var refusalWords = map[halfshake.Refusal]string{
	halfshake.RefusedWrongID:               "The external cache answered with another session.",
	halfshake.RefusedRemoved:               "It, its lineage or everything of its scope has been removed.",
	halfshake.RefusedVerifyPeerCertificate: "The server's own verification of client certificates refused it.",
	halfshake.RefusedRemovalsFull:          "A new session was not cached: there was no room to remember more removals.",
	halfshake.RefusedMalformed:             "The stored session cannot be read, or contradicts itself.",
	halfshake.RefusedVersion:               "Made under another version of TLS.",
	halfshake.RefusedUnscoped:              "The server asks for client certificates, and no scope says what sessions are good for.",
	halfshake.RefusedScope:                 "Made for another scope, server name or client-certificate policy.",
	halfshake.RefusedExpired:               "Its timeout has passed.",
	halfshake.RefusedLineageAge:            "Too long since the first full handshake.",
	halfshake.RefusedCipherSuite:           "Its cipher suite is not one that this connection may use.",
	halfshake.RefusedExtendedMasterSecret:  "A TLS 1.2 session made without the extended master secret.",
	halfshake.RefusedClientCertificate:     "It lacks a required client certificate, or has one that is not asked for.",
	halfshake.RefusedUntrusted:             "The client's certificate is not valid under today's authorities.",
	halfshake.RefusedUnauthorized:          "The application's own check refused it.",
	halfshake.RefusedNotAdmitted:           "The external cache did not admit it: revoked, already used, or unknown.",
	halfshake.RefusedTooLarge:              "A new session that is too large to keep.",
	halfshake.RefusedCallback:              "The external cache failed, so its answer is missing.",
}
