package halfshake

import "fmt"

// A Refusal is a reason for which a session was not resumed, or a new one not
// cached. Either way the client gets a full handshake and never a failed one.
type Refusal uint8

// The rungs of the ladder, in the order in which they are climbed: the first
// that applies is the one that is counted.
const (
	// RefusedWrongID: the Get callback answered with another session's.
	RefusedWrongID Refusal = iota + 1
	// RefusedRemoved: it, its lineage or everything of its Scope has been removed.
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
	// policy or TrustID.
	RefusedScope
	// RefusedLineageAge: its lineage is older than MaxLineageAge, or, for a new
	// session, of an age that cannot be told.
	RefusedLineageAge
	// RefusedExpired: its timeout has passed.
	RefusedExpired
	// RefusedCipherSuite: its suite is not one that this connection may use.
	RefusedCipherSuite
	// RefusedExtendedMasterSecret: a TLS 1.2 session made without it.
	RefusedExtendedMasterSecret
	// RefusedClientCertificate: the policy wants a client certificate and the
	// session has none, or wants none and the session has one.
	RefusedClientCertificate
	// RefusedUntrusted: no chain of the client's certificate is valid now and
	// ends in the roots that are trusted now.
	RefusedUntrusted
	// RefusedVerifyPeerCertificate: the tls.Config's VerifyPeerCertificate said no, or
	// panicked.
	RefusedVerifyPeerCertificate
	// RefusedUnauthorized: Config.Authorize said no, or panicked.
	RefusedUnauthorized
	// RefusedNotAdmitted: the Admit callback said no, or panicked.
	RefusedNotAdmitted

	// RefusedTooLarge: a new session of more than MaxSessionSize bytes.
	RefusedTooLarge
	// RefusedRemovalsFull: a new session, while there is no room to remember the
	// removal of more.
	RefusedRemovalsFull
	// RefusedCallback: a callback failed or panicked, so that what it should
	// have answered is missing.
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

// MarshalText returns String, so that a map by reason encodes to JSON by name.
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
