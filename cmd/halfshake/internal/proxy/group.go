package proxy

import (
	"context"
	"sync"
)

// A group is a set of running operations. Each can be cut off, and drain waits for all of
// them. The zero value is an empty group.
type group struct {
	mu      sync.Mutex
	members map[*member]struct{}
	empty   chan struct{} // made by drain, closed when the last member has left
}

type member struct{ cut func() }

// enter adds a member, unless the group is draining. cut must make the member leave soon
// and must not block. It may be called when the member is about to leave by itself.
func (g *group) enter(cut func()) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil {
		return nil, false
	}
	if g.members == nil {
		g.members = make(map[*member]struct{})
	}
	m := &member{cut}
	g.members[m] = struct{}{}
	return func() { g.leave(m) }, true
}

func (g *group) leave(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.members, m)
	if g.empty != nil && len(g.members) == 0 {
		close(g.empty)
	}
}

// drain lets no more members enter and returns when all have left. When ctx ends, it cuts
// off those that are left, and returns the context's error.
func (g *group) drain(ctx context.Context) error {
	empty := g.refuse()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	late := g.cutAll()
	<-empty
	if late == 0 {
		return nil
	}
	return ctx.Err()
}

func (g *group) refuse() (empty <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty == nil {
		g.empty = make(chan struct{})
		if len(g.members) == 0 {
			close(g.empty)
		}
	}
	return g.empty
}

func (g *group) cutAll() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for m := range g.members {
		m.cut()
	}
	return len(g.members)
}
