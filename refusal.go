package halfshake

import "fmt"

// A Refusal is the reason why a session was not resumed, or why a new session was not
// cached. Either way the client gets a full handshake, never a failed one.
type Refusal uint8

// The reasons, in the order in which the cache checks them. The first that applies is
// counted.
const (
	// RefusedWrongID: the Get callback returned a session with another id.
	RefusedWrongID Refusal = iota + 1
	// RefusedRemoved: the session, its lineage or its whole Scope has been removed.
	RefusedRemoved
	// RefusedMalformed: the session's state cannot be decoded, contradicts the
	// session, or holds no usable secret.
	RefusedMalformed
	// RefusedVersion: made under another protocol version.
	RefusedVersion
	// RefusedUnscoped: client certificates are asked for, with neither
	// Config.Scope nor Config.TrustID set.
	RefusedUnscoped
	// RefusedScope: made under another scope, server name, client-certificate
	// policy or TrustID; of a client also under another address, root set or client
	// certificate. For a client's new session: what it was made under is unknown.
	RefusedScope
	// RefusedLineageAge: its lineage is older than MaxLineageAge. For a new session
	// also: the age of its lineage is unknown.
	RefusedLineageAge
	// RefusedExpired: its timeout has passed.
	RefusedExpired
	// RefusedCipherSuite: this connection may not use its cipher suite.
	RefusedCipherSuite
	// RefusedExtendedMasterSecret: a TLS 1.2 session made without the extended master
	// secret.
	RefusedExtendedMasterSecret
	// RefusedClientCertificate: the policy wants a client certificate and the
	// session has none, or wants none and the session has one.
	RefusedClientCertificate
	// RefusedUntrusted: no chain of the client's certificate is valid now and ends in a
	// root that is trusted now.
	RefusedUntrusted
	// RefusedVerifyPeerCertificate: the tls.Config's VerifyPeerCertificate returned an
	// error, or panicked.
	RefusedVerifyPeerCertificate
	// RefusedUnauthorized: Config.Authorize returned false, or panicked.
	RefusedUnauthorized
	// RefusedNotAdmitted: the Admit callback returned false, or panicked.
	RefusedNotAdmitted

	// RefusedTooLarge: a new session of more than MaxSessionSize bytes.
	RefusedTooLarge
	// RefusedRemovalsFull: a new session, while the cache has no room to remember
	// another removal.
	RefusedRemovalsFull
	// RefusedCallback: a callback failed or panicked, so its answer is missing.
	RefusedCallback

	endOfRefusals
)

var refusalNames = [endOfRefusals]string{
	RefusedWrongID:               "wrong_id",
	RefusedRemoved:               "removed",
	RefusedVerifyPeerCertificate: "verify_peer_certificate",
	RefusedRemovalsFull:          "removals_full",
	RefusedMalformed:             "malformed",
	RefusedVersion:               "version",
	RefusedUnscoped:              "unscoped",
	RefusedScope:                 "scope",
	RefusedExpired:               "expired",
	RefusedLineageAge:            "lineage_age",
	RefusedCipherSuite:           "cipher_suite",
	RefusedExtendedMasterSecret:  "extended_master_secret",
	RefusedClientCertificate:     "client_certificate",
	RefusedUntrusted:             "untrusted",
	RefusedUnauthorized:          "unauthorized",
	RefusedNotAdmitted:           "not_admitted",
	RefusedTooLarge:              "too_large",
	RefusedCallback:              "callback",
}

// String returns the reason's name, as /stats.json and the log spell it.
func (r Refusal) String() string {
	if r > 0 && r < endOfRefusals {
		return refusalNames[r]
	}
	return "none"
}

// MarshalText returns String, so that a map of reasons encodes to JSON with their names.
func (r Refusal) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (r *Refusal) UnmarshalText(text []byte) error {
	for i := Refusal(1); i < endOfRefusals; i++ {
		if refusalNames[i] == string(text) {
			*r = i
			return nil
		}
	}
	return fmt.Errorf("halfshake: unknown refusal %q", text)
}
