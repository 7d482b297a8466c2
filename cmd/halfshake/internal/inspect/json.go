package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"time"
)

// jsonSession is the object that JSON writes for a session.
type jsonSession struct {
	Format                    Format `json:"format"`
	Protocol                  string `json:"protocol"`
	CipherSuite               string `json:"cipher_suite"`
	ServerName                string `json:"server_name"`
	ALPN                      string `json:"alpn"`
	CreatedAt                 string `json:"created_at"`
	TimeoutSeconds            int64  `json:"timeout_seconds"`
	VerifyResult              int32  `json:"verify_result"`
	ExtendedMasterSecret      bool   `json:"extended_master_secret"`
	TicketLifetimeHintSeconds uint32 `json:"ticket_lifetime_hint_seconds"`
	MaxEarlyData              uint32 `json:"max_early_data"`
	PeerCertificateSHA256     string `json:"peer_certificate_sha256"`
	Ref                       string `json:"ref"`

	*jsonSecrets // nil without --secrets
}

// jsonSecrets are live keys.
type jsonSecrets struct {
	SessionID string `json:"session_id"`
	MasterKey string `json:"master_key"`
	Ticket    string `json:"ticket"`
}

// JSON writes one object for each session, each on its own line. What is absent is 0, false
// or "".
func JSON(w io.Writer, sessions []*Session, secrets bool) error {
	to := json.NewEncoder(w)
	to.SetEscapeHTML(false)
	for _, s := range sessions {
		if err := to.Encode(s.json(secrets)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) json(secrets bool) *jsonSession {
	j := &jsonSession{
		Format: s.format, Protocol: protocolName(s.ssl.Version), CipherSuite: suiteName(s.ssl.CipherSuite),
		ServerName: string(s.ssl.ServerName), ALPN: string(s.ssl.ALPN),
		CreatedAt: s.createdAt(), TimeoutSeconds: s.ssl.Timeout,
		VerifyResult: s.ssl.VerifyResult, ExtendedMasterSecret: s.ssl.ExtendedMasterSecret(),
		TicketLifetimeHintSeconds: s.ssl.TicketLifetimeHint, MaxEarlyData: s.ssl.MaxEarlyData,
		PeerCertificateSHA256: s.certificateDigest(), Ref: s.ref(),
	}
	if secrets {
		j.jsonSecrets = &jsonSecrets{hex.EncodeToString(s.ssl.ID), hex.EncodeToString(s.ssl.MasterKey), hex.EncodeToString(s.ssl.Ticket)}
	}
	return j
}

// createdAt returns "" for a session in DER that names no time.
func (s *Session) createdAt() string {
	if s.ssl.Time == 0 {
		return ""
	}
	return stamp(s.ssl.Time)
}

// certificateDigest returns the SHA-256 of the peer's certificate, or "" if there is none.
func (s *Session) certificateDigest() string {
	if s.ssl.PeerCertificate == nil {
		return ""
	}
	digest := sha256.Sum256(s.ssl.PeerCertificate)
	return hex.EncodeToString(digest[:])
}

// stamp returns a time as RFC 3339 has it, or "" for one that it cannot express.
func stamp(second int64) string {
	if !inCalendar(second) {
		return ""
	}
	return time.Unix(second, 0).UTC().Format(time.RFC3339)
}

// inCalendar reports whether a time is in the years 0 to 9999.
func inCalendar(second int64) bool {
	const first, last = -62167219200, 253402300799
	return first <= second && second <= last
}
