package halfshake

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/sslsession"
)

// importClients imports a client's session: one with a ticket for crypto/tls, or one with a
// session id for package tls12.
func (c *Cache) importClients(o *sslsession.Session, x Exchange) (*Session, error) {
	by := byTicket
	if o.Ticket == nil {
		by = bySessionID
	}
	d, err := c.clientExchange(x, by)
	if err != nil {
		return nil, err
	}
	switch {
	case by == byTicket && len(o.Ticket) == 0, by == bySessionID && (o.Version >= tls.VersionTLS13 || !validID(o.ID)):
		return nil, errors.New("it has neither a ticket nor a session id to offer")
	case len(o.Ticket) > MaxSessionSize:
		return nil, fmt.Errorf("its ticket has %d bytes; a session has at most %d", len(o.Ticket), MaxSessionSize)
	case o.ServerName != nil && lowerASCII(string(o.ServerName)) != lowerASCII(d.serverName):
		return nil, fmt.Errorf("it was made for another server name than %q", d.serverName)
	case o.PeerCertificate == nil:
		return nil, errors.New("it has no server certificate")
	}
	if err := c.ageAllowsImport(false); err != nil {
		return nil, err
	}
	s, state := c.startImport(o)
	s.id, s.serverName, s.scope = clientIDOf(o), d.serverName, d.scope
	state.UseBy, state.AgeAdd = uint64(s.expires), o.TicketAgeAdd
	if hint := int64(o.TicketLifetimeHint); hint > 0 {
		state.UseBy = uint64(s.created + min(hint, maxLifetimeHint))
		s.expires = min(s.expires, int64(state.UseBy))
	}
	verifies := !d.config.InsecureSkipVerify
	leaf, err := importCertificate(o, state, verifies, anchors{roots: d.config.RootCAs, usage: x509.ExtKeyUsageServerAuth, now: d.now()})
	if err != nil {
		return nil, err
	}
	if err := leaf.VerifyHostname(d.serverName); verifies && err != nil {
		return nil, fmt.Errorf("its server certificate is for another name: %w", err)
	}
	s.expireBy(leaf.NotAfter)
	if by == byTicket {
		s.fields = appendField(s.fields, fieldTicket, o.Ticket)
	} else {
		s.fields = appendField(s.fields, fieldSessionID, o.ID)
	}
	return finishImport(s, state, sessionstate.BuildClient)
}

// clientExchange returns the destination of a client's Exchange.
func (c *Cache) clientExchange(x Exchange, by engineOfClient) (*destination, error) {
	switch {
	case x.Addr == "":
		return nil, errors.New("it is a client's session; set Exchange.Addr to the server's address")
	case x.ServerName != "":
		return nil, errors.New("Exchange.ServerName is for servers; a client's name is Config.ServerName, or the host of Exchange.Addr")
	}
	return c.destinationOf(x.Config, x.Addr, by)
}

// clientIDOf returns the id of an imported client's session, always the same one, so that
// a removal of it holds.
func clientIDOf(o *sslsession.Session) string {
	id := sha256.Sum256(slices.Concat([]byte("halfshake imported client session\x00"), o.ID, o.Ticket))
	return string(id[:])
}

// exportClients exports a client's session.
func (c *Cache) exportClients(s *Session, x Exchange) (*sslsession.Session, error) {
	ticket, by := s.field(fieldTicket), byTicket
	if ticket == nil {
		by = bySessionID
	}
	d, err := c.clientExchange(x, by)
	if err != nil {
		return nil, err
	}
	if s.scope != d.scope {
		return nil, errors.New("it was made for another server name, address, root set or client certificate, or under another scope or TrustID")
	}
	o, state, err := startExport(s, x)
	if err != nil {
		return nil, err
	}
	if by == bySessionID {
		o.ID = bytes.Clone(s.field(fieldSessionID))
	} else {
		id := sha256.Sum256(ticket) // as libssl makes it
		o.ID, o.Ticket = id[:], bytes.Clone(ticket)
	}
	if state.UseBy > state.CreatedAt {
		o.TicketLifetimeHint, o.TicketAgeAdd = uint32(min(state.UseBy-state.CreatedAt, maxLifetimeHint)), state.AgeAdd
	}
	if net.ParseIP(s.serverName) == nil { // OpenSSL's client sends no address as a name either
		o.ServerName = []byte(s.serverName)
	}
	return o, nil
}

// maxLifetimeHint is the longest lifetime of a ticket, in seconds (RFC 8446 section 4.6.1).
const maxLifetimeHint = 604800
