package inspect

import (
	"fmt"
	"time"
)

// peer shows the peer's certificate: in a server's session, the client's.
func (s *Session) peer() []row {
	const name = "peer certificate"
	if s.ssl.PeerCertificate == nil {
		return []row{{name, "none"}}
	}
	digest := row{"  SHA-256", s.certificateDigest()}
	cert, err := s.ssl.Certificate()
	if err != nil {
		return []row{{name, fmt.Sprintf("%d bytes, which do not parse", len(s.ssl.PeerCertificate))}, digest}
	}
	return []row{
		{name, printable(cert.Subject.String())},
		{"  issuer", printable(cert.Issuer.String())},
		{"  not after", cert.NotAfter.UTC().Format(time.RFC3339)},
		digest,
	}
}
