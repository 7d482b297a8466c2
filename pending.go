package halfshake

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// helloTimeout bounds how long a client may take to send its ClientHello.
	helloTimeout = 10 * time.Second
	// minPending is how much of helloTimeout a client gets even if other connections wait
	// for its slot. A round trip by satellite takes 600 ms.
	minPending = time.Second
	// lastLook is how long the final read of a connection that is asked to leave may take.
	// That is enough to find data that has already arrived.
	lastLook = 2 * time.Millisecond
	// patience is how long the listener waits before it checks again, while no connection
	// may be asked to leave.
	patience = 10 * time.Millisecond
)

// pendingHellos holds the connections of a listener whose ClientHello is incomplete.
// Each of them holds one of max slots. While all slots are held, the listener accepts no
// more connections. It then asks one to leave: the oldest that
//
//   - has been pending for longer than minPending, and
//   - comes from an address that holds as many slots as any other.
//
// A connection that is asked to leave reads once more, because a busy machine may not
// yet have read what the client sent. It leaves if that read finds nothing. Meanwhile
// its slot counts as free, so that new connections need not wait for it. At most
// max/16+1 connections are in this state.
type pendingHellos struct {
	max     int
	closed  *atomic.Uint64 // counts those that left
	changed chan struct{}  // signalled when a connection has left

	mu    sync.Mutex
	held  int       // slots held, including those counted in asked
	asked int       // slots of connections that were asked to leave
	list  list.List // the other connections, oldest first
	tally tally     // of the connections in list
}

func newPendingHellos(max int, closed *atomic.Uint64) *pendingHellos {
	return &pendingHellos{max: max, closed: closed, changed: make(chan struct{}, 1), tally: newTally()}
}

// admit waits for a slot and returns raw as its holder, or nil if ctx ends first. Only
// one goroutine may call it.
func (p *pendingHellos) admit(ctx context.Context, raw net.Conn) *pendingHello {
	for {
		taken, ask := p.takeSlot()
		if taken {
			return &pendingHello{Conn: raw, set: p, since: time.Now()}
		}
		if ask != nil {
			ask.interrupt()
			continue
		}
		select {
		case <-p.changed:
		case <-time.After(patience):
		case <-ctx.Done():
			return nil
		}
	}
}

// takeSlot takes a slot if one is free. Otherwise it returns a connection for the caller
// to interrupt, or nil if no connection may be asked to leave.
func (p *pendingHellos) takeSlot() (taken bool, ask *pendingHello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held-p.asked < p.max {
		p.held++
		return true, nil
	}
	if p.asked > p.max/16 {
		return false, nil
	}
	if ask = p.oldest(); ask != nil {
		p.asked++
		p.unlist(ask)
	}
	return false, ask
}

// oldest returns the oldest connection that may be asked to leave, or nil.
func (p *pendingHellos) oldest() *pendingHello {
	now := time.Now()
	for e := p.list.Front(); e != nil; e = e.Next() {
		c := e.Value.(*pendingHello)
		if now.Sub(c.since) <= minPending {
			return nil
		}
		if p.tally.isMost(c.source) {
			return c
		}
	}
	return nil
}

// enter adds c to the list of connections that may be asked to leave.
func (p *pendingHellos) enter(c *pendingHello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enlist(c)
}

// stay puts c back at the end of the list if it was asked to leave.
func (p *pendingHellos) stay(c *pendingHello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.listed == nil {
		p.asked--
		p.enlist(c)
	}
}

func (p *pendingHellos) enlist(c *pendingHello) {
	c.listed = p.list.PushBack(c)
	p.tally.add(c.source, 1)
}

func (p *pendingHellos) unlist(c *pendingHello) {
	p.list.Remove(c.listed)
	c.listed = nil
	p.tally.add(c.source, -1)
}

// leave undoes enter. silent means that c leaves because it found nothing to read.
func (p *pendingHellos) leave(c *pendingHello, silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.listed != nil {
		p.unlist(c)
		return
	}
	p.asked--
	if silent {
		p.closed.Add(1)
	}
}

// release gives up a slot, after leave.
func (p *pendingHellos) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held--
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// A pendingHello is a connection that holds a slot.
type pendingHello struct {
	net.Conn
	set   *pendingHellos
	since time.Time // when it got its slot

	// Set by readHello, before it lists the connection.
	source netip.Addr
	limit  time.Time // when the client's time runs out

	listed *list.Element // in set.list, nil while asked to leave; guarded by set.mu

	deadline sync.Mutex // guards done, and the read deadline against interrupt
	done     bool
}

// readHello reads the ClientHello within helloTimeout. While it reads, the connection
// can be asked to leave. It calls RemoteAddr here, on the connection's own goroutine,
// because an underlying listener may have to read the address from the connection.
func (c *pendingHello) readHello() (data, hello []byte, err error) {
	c.limit = time.Now().Add(helloTimeout)
	c.SetReadDeadline(c.limit)
	c.source = sourceOf(c.RemoteAddr())
	c.set.enter(c)
	data, hello, err = readHello(c)
	c.set.leave(c, isTimeout(err))
	c.liftDeadline()
	return data, hello, err
}

// interrupt ends the connection's current read, or its next one.
func (c *pendingHello) interrupt() {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	if !c.done {
		c.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *pendingHello) liftDeadline() {
	c.deadline.Lock()
	defer c.deadline.Unlock()
	c.done = true
	c.SetReadDeadline(time.Time{})
}

// Read reads from the client. If it is interrupted, it tries once more, and fails if
// there is still nothing to read.
func (c *pendingHello) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 || !isTimeout(err) || !time.Now().Before(c.limit) {
		return n, err
	}
	// Try twice, because a delayed goroutine may find its deadline exceeded before it has
	// read.
	for range 2 {
		c.SetReadDeadline(time.Now().Add(lastLook))
		n, err = c.Conn.Read(b)
		if n > 0 {
			c.SetReadDeadline(c.limit)
			c.set.stay(c)
		}
		if n > 0 || !isTimeout(err) {
			break
		}
	}
	return n, err
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// sourceOf returns the address under which a client's connections are counted. For IPv6
// that is the /64 network, because one client usually controls all of it. Connections
// without an IP address are counted together.
func sourceOf(addr net.Addr) netip.Addr {
	if addr == nil {
		return netip.Addr{}
	}
	parsed, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Addr{}
	}
	ip := parsed.Addr().Unmap()
	if ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().Addr()
	}
	return ip
}

// A tally counts connections by address and keeps the largest count.
type tally struct {
	of   map[netip.Addr]int // connections by address, without zeros
	with map[int]int        // addresses by their number of connections
	most int
}

func newTally() tally { return tally{map[netip.Addr]int{}, map[int]int{}, 0} }

// add adds n, which is 1 or -1, to the connections of an address.
func (t *tally) add(ip netip.Addr, n int) {
	before := t.of[ip]
	after := before + n
	t.of[ip] = after
	if after == 0 {
		delete(t.of, ip)
	}
	t.with[before]--
	t.with[after]++
	if after > t.most || t.with[t.most] == 0 {
		t.most = after
	}
}

// isMost reports whether no address has more connections than ip.
func (t *tally) isMost(ip netip.Addr) bool { return t.of[ip] == t.most }
