package halfshake

import (
	"context"
	"crypto/tls"
	"slices"

	"github.com/halfshake/halfshake/internal/ending"
	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/tls12"
)

// engine12 translates between package tls12 and the events of a handshake. It stores
// sessions in crypto/tls's format, so each engine can resume the other's sessions if the
// client offers them.
type engine12 struct{ *handshake }

var _ tls12.Sessions = engine12{}

// hello updates the handshake with what the client offers.
func (e engine12) hello(ctx context.Context, hello *tls12.ClientHello) *handshake {
	e.begin(ctx, hello.Conn, nil)
	e.negotiated(hello.ServerName, hello.ALPN, tls.VersionTLS12)
	return e.handshake
}

// Lookup reports that the client proposes an id.
func (e engine12) Lookup(ctx context.Context, hello *tls12.ClientHello, id []byte) *tls12.Session {
	h := e.hello(ctx, hello)
	h.offered = slices.DeleteFunc(slices.Clone(hello.CipherSuites), func(suite uint16) bool { return !tls12.HasSuite(suite) })
	f := h.propose(id, 0)
	h.offered = nil
	if f == nil {
		return nil
	}
	session, err := sessionOf12(e.cache, f)
	if err != nil {
		h.undecodable(f)
		return nil
	}
	return session
}

// NewID returns the id for a new session.
func (e engine12) NewID(ctx context.Context, hello *tls12.ClientHello) []byte {
	return e.hello(ctx, hello).newID()
}

// Completed reports a full handshake and the session that it made.
func (e engine12) Completed(ctx context.Context, hello *tls12.ClientHello, s *tls12.Session) {
	h := e.hello(ctx, hello)
	switch {
	case s != nil:
		h.policy.serverNotAfter = s.ServerNotAfter
		e.made(s)
	case !hello.ExtendedMasterSecret && h.stores():
		h.notCached(RefusedExtendedMasterSecret)
	}
	h.completed(false)
}

// made encodes a session as crypto/tls does.
func (e engine12) made(s *tls12.Session) {
	state, err := sessionstate.Build(stateOf12(s))
	if err != nil { // the chain is too long for the encoding's length fields
		e.notCached(RefusedTooLarge)
		return
	}
	e.handshake.made(state, s.ID, false)
}

// Resumed reports a resumption: the client has proved that it has the secret.
func (e engine12) Resumed(ctx context.Context, hello *tls12.ClientHello, _ *tls12.Session) {
	e.hello(ctx, hello).completed(true)
}

// Ended reports how the connection ended.
func (e engine12) Ended(_ *tls12.Session, how tls12.Ending) {
	switch how {
	case tls12.AlertEnd:
		e.ended(ending.Alert)
	case tls12.UncleanEnd:
		e.ended(ending.Unclean)
	}
}
