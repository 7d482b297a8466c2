package main

import (
	"context"
	"crypto/rand"
	"sync"

	"github.com/halfshake/halfshake/tls12"
)

// sessions is a minimal session cache for a server.
type sessions struct {
	mu  sync.Mutex
	all map[string]*tls12.Session
}

var _ tls12.Sessions = (*sessions)(nil)

func (s *sessions) Lookup(_ context.Context, _ *tls12.ClientHello, id []byte) *tls12.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[string(id)]
}

func (*sessions) NewID(context.Context, *tls12.ClientHello) []byte {
	id := make([]byte, 32)
	rand.Read(id)
	return id
}

func (s *sessions) Completed(_ context.Context, _ *tls12.ClientHello, made *tls12.Session) {
	if made == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[string]*tls12.Session)
	}
	s.all[string(made.ID)] = made
}

func (*sessions) Resumed(context.Context, *tls12.ClientHello, *tls12.Session) {}

func (*sessions) Ended(*tls12.Session, tls12.Ending) {}
