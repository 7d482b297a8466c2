package inspect

import (
	"bufio"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode"
)

// A row is a line of the text view.
type row struct{ name, value string }

// Text writes the sessions of one file for a reader.
func Text(w io.Writer, file string, sessions []*Session, secrets bool, now time.Time) error {
	b := bufio.NewWriter(w)
	if len(sessions) == 0 {
		fmt.Fprintf(b, "%s: no sessions\n", printable(file))
	}
	for i, s := range sessions {
		fmt.Fprintf(b, "%s: session %d of %d, %s\n", printable(file), i+1, len(sessions), formatNames[s.format])
		for _, r := range s.rows(secrets, now) {
			fmt.Fprintf(b, "    %-23s %s\n", r.name, r.value)
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}

var formatNames = map[Format]string{Halfshake: "Halfshake's record", DER: "OpenSSL's DER", PEM: "OpenSSL's PEM"}

func (s *Session) rows(secrets bool, now time.Time) []row {
	rows := []row{
		{"ref", s.ref()},
		{"protocol", protocolName(s.ssl.Version)},
		{"cipher suite", suiteName(s.ssl.CipherSuite)},
		{"group", s.group()},
		{"extended master secret", s.extendedMasterSecret()},
	}
	rows = append(rows, s.times(now)...)
	rows = append(rows,
		row{"server name", text(s.ssl.ServerName)},
		row{"ALPN", text(s.ssl.ALPN)},
		row{"verify result", fmt.Sprintf("%d (%s)", s.ssl.VerifyResult, s.verifyMeaning())},
	)
	rows = append(rows, s.peer()...)
	rows = append(rows,
		row{"ticket", size(s.ssl.Ticket)},
		row{"ticket lifetime hint", s.hint()},
		row{"max early data", s.earlyData()},
		row{"application data", size(s.ssl.TicketData)},
	)
	rows = append(rows, s.origin()...)
	rows = append(rows, s.rare()...)
	if secrets {
		rows = append(rows, row{"session id", digits(s.ssl.ID)}, row{"master key", digits(s.ssl.MasterKey)}, row{"ticket bytes", digits(s.ssl.Ticket)})
	}
	return rows
}

// origin says what the session may be resumed for: OpenSSL's session id context, or the
// scope of a Cache.
func (s *Session) origin() []row {
	if s.own == nil {
		return []row{{"session id context", contextText(s.ssl.IDContext)}}
	}
	scope := s.own.Scope()
	return []row{
		{"scope", hex.EncodeToString(scope[:])},
		{"lineage", fmt.Sprintf("%v, since %s", s.own.Lineage(), s.own.LineageStart().UTC().Format(time.RFC3339))},
	}
}

// rare shows the fields that few sessions have.
func (s *Session) rare() (rows []row) {
	add := func(name string, there bool, value string) {
		if there {
			rows = append(rows, row{name, value})
		}
	}
	add("PSK identity", s.ssl.PSKIdentity != nil, text(s.ssl.PSKIdentity))
	add("PSK identity hint", s.ssl.PSKIdentityHint != nil, text(s.ssl.PSKIdentityHint))
	add("SRP user", s.ssl.SRPUser != nil, text(s.ssl.SRPUser))
	add("compression", s.ssl.Compression != 0, fmt.Sprintf("method %d", s.ssl.Compression))
	add("max fragment length", s.ssl.MaxFragmentLength > 0, fragmentLength(s.ssl.MaxFragmentLength))
	add("peer public key", s.ssl.PeerPublicKey != nil, size(s.ssl.PeerPublicKey))
	add("unknown fields", s.ssl.Unknown != nil, size(s.ssl.Unknown)+", of a later release of OpenSSL or of another library")
	return rows
}

// fragmentLength names a mode of RFC 6066 section 4. OpenSSL writes 255 in TLS 1.3 clients'
// sessions, whose handshake never had the extension.
func fragmentLength(mode uint8) string {
	if mode >= 1 && mode <= 4 {
		return fmt.Sprintf("%d bytes", 256<<mode)
	}
	return fmt.Sprintf("not negotiated (%d)", mode)
}

func (s *Session) extendedMasterSecret() string {
	switch {
	case s.ssl.ExtendedMasterSecret():
		return "yes"
	case s.ssl.Version == tls.VersionTLS13:
		return "not needed in TLS 1.3"
	}
	return "no"
}

// verifyMeaning explains the verify result.
func (s *Session) verifyMeaning() string {
	if s.own != nil && s.ssl.VerifyResult == verifyResultUnspecified {
		return "the server does not verify client certificates"
	}
	return verifyMeaning(s.ssl.VerifyResult)
}

func (s *Session) hint() string {
	if s.ssl.TicketLifetimeHint == 0 {
		return "none"
	}
	return fmt.Sprintf("%d s", s.ssl.TicketLifetimeHint)
}

func (s *Session) earlyData() string {
	if s.ssl.MaxEarlyData == 0 {
		return "none allowed"
	}
	return fmt.Sprintf("%d bytes", s.ssl.MaxEarlyData)
}

func (s *Session) group() string {
	if s.ssl.Group == 0 {
		return "not recorded"
	}
	return groupName(s.ssl.Group)
}

// contextText shows a session id context, which is often text.
func contextText(b []byte) string {
	if s := string(b); len(b) > 0 && printable(s) == s {
		return fmt.Sprintf("%s (%q)", digits(b), s)
	}
	return digits(b)
}

func digits(b []byte) string {
	if len(b) == 0 {
		return "none"
	}
	return hex.EncodeToString(b)
}

func size(b []byte) string {
	if b == nil {
		return "none"
	}
	return fmt.Sprintf("%d bytes", len(b))
}

func text(b []byte) string {
	if len(b) == 0 {
		return "none"
	}
	return printable(string(b))
}

// printable returns s as it is, or quoted if it has something in it that a terminal would
// obey.
func printable(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}
