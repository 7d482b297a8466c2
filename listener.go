package halfshake

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/halfshake/halfshake/tls12"
)

// handshakeTimeout12 bounds a handshake of package tls12, which net/http does not.
const handshakeTimeout12 = 10 * time.Second

// NewListener returns a listener whose connections use the cache. Accept returns a
// *tls.Conn, so that net/http speaks HTTP/2 over it, or a *tls12.Conn for clients that
// Config.SessionIDs selects. NewListener returns the same errors as
// [Cache.ServerConfig], except that SessionIDs may be set. net/http logs the failed
// handshakes of a *tls.Conn only: those of a *tls12.Conn have to be logged by the
// application, in a ConnState function for example.
//
// With SessionIDs set, the listener reads the ClientHello of each connection before
// Accept returns it. For a client that SessionIDs may select, GetConfigForClient then
// also runs before Accept returns, and its hello's context ends when the function
// returns. GetEncryptedClientHelloKeys is called there and again in the handshake.
// Config.MaxPending bounds the connections that the listener holds; new ones beyond that
// bound wait in inner's backlog.
//
// Closing the listener closes inner and the connections that Accept has not returned.
// Close waits for the listener's goroutines, except for those that are calling a
// function or key of config; these end when the call returns. The NetConn of a
// connection, and the Conn that GetConfigForClient sees, belong to the cache. Their own
// NetConn method returns the connection that inner accepted.
func (c *Cache) NewListener(inner net.Listener, config *tls.Config) (net.Listener, error) {
	if inner == nil {
		return nil, errors.New("halfshake: the net.Listener is nil")
	}
	p, err := c.checkConfig(config)
	if err != nil {
		return nil, err
	}
	if c.cfg.SessionIDs != SessionIDsOff {
		return newHelloListener(inner, c, p), nil
	}
	return &listener{Listener: inner, cache: c, policy: p.kept()}, nil
}

// A listener serves every client with crypto/tls.
type listener struct {
	net.Listener
	cache  *Cache
	policy policy
}

// Accept returns the next connection; its handshake has not begun.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.cache.cryptoTLS(l.policy, l.cache.newTransport(raw, l.policy, false)), nil
}

// A helloListener reads the ClientHello of each connection before Accept returns
// the connection, because the choice of the engine depends on it.
//
// Each connection has its own goroutine, which calls hear, choose and offer. The
// connection is pending until its ClientHello is whole. Then it takes a slot in heard
// until Accept returns it. While every slot is taken, it stays pending. The listener
// therefore stops accepting if the application does not call Accept.
type helloListener struct {
	inner  net.Listener
	cache  *Cache
	choice engineChoice

	pending *pendingHellos
	heard   chan struct{}
	ready   chan accepted      // what Accept returns
	next    chan *pendingHello // to a goroutine that awaits a connection
	idle    chan struct{}      // slots of these goroutines

	ctx    context.Context
	cancel context.CancelFunc // called by Close

	mu     sync.Mutex
	closed bool
	conns  map[*pendingHello]struct{} // on their way to Accept; Close closes them
	own    sync.WaitGroup             // goroutines outside the application's code
}

// accepted is what one call of Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

func newHelloListener(inner net.Listener, c *Cache, p policy) *helloListener {
	l := &helloListener{
		inner: inner, cache: c, choice: c.newEngineChoice(p),
		pending: newPendingHellos(c.cfg.MaxPending, &c.counters.closedSilent),
		heard:   make(chan struct{}, c.cfg.MaxPending), ready: make(chan accepted),
		next: make(chan *pendingHello), idle: make(chan struct{}, runtime.GOMAXPROCS(0)),
		conns: make(map[*pendingHello]struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.own.Go(l.acceptAll)
	return l
}

// Addr returns the address of the listener below.
func (l *helloListener) Addr() net.Addr { return l.inner.Addr() }

// Accept returns the next connection whose ClientHello has been read.
func (l *helloListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener below and the connections that Accept has not returned,
// and waits for the listener's own goroutines.
func (l *helloListener) Close() error {
	l.cancel()
	err := l.inner.Close()
	l.mu.Lock()
	l.closed = true
	conns := l.conns
	l.conns = nil
	l.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	l.own.Wait()
	return err
}

// acceptAll takes connections from the listener below until Close. Accept returns
// the errors of the listener below.
func (l *helloListener) acceptAll() {
	for l.ctx.Err() == nil {
		raw, err := l.inner.Accept()
		if err != nil {
			l.deliver(accepted{err: err})
			continue
		}
		c := l.pending.admit(l.ctx, raw)
		if c == nil || !l.track(c) {
			raw.Close()
			return
		}
		select {
		case l.next <- c:
		default:
			go l.work(c)
		}
	}
}

// work serves c and then other connections. A new goroutine for each connection would
// grow its stack anew each time.
func (l *helloListener) work(c *pendingHello) {
	for c != nil {
		l.serve(c)
		c = l.await()
	}
}

// await waits for another connection. It returns nil after Close, or if enough goroutines
// are waiting already.
func (l *helloListener) await() *pendingHello {
	select {
	case l.idle <- struct{}{}:
		defer func() { <-l.idle }()
	default:
		return nil
	}
	if !l.enter() {
		return nil
	}
	defer l.own.Done()
	select {
	case c := <-l.next:
		return c
	case <-l.ctx.Done():
		return nil
	}
}

// enter makes Close wait for the calling goroutine, until own.Done. It returns false
// after Close.
func (l *helloListener) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.own.Add(1)
	}
	return !l.closed
}

// track makes Close close c and wait for its goroutine. It returns false after Close.
func (l *helloListener) track(c *pendingHello) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns[c] = struct{}{}
	l.own.Add(1)
	return true
}

// serve takes a connection to Accept.
func (l *helloListener) serve(c *pendingHello) {
	data, hello, ok := l.hear(c)
	if !ok {
		return
	}
	defer func() { <-l.heard }()
	conn := l.choose(c.Conn, data, hello)
	if l.reenter(c) {
		l.offer(c.Conn, conn)
	}
}

// hear reads the ClientHello. It closes a connection that ends or fails before its
// ClientHello is whole, or that must make room for others. After hear, Close no longer
// waits for the goroutine.
func (l *helloListener) hear(c *pendingHello) (data, hello []byte, ok bool) {
	defer l.own.Done()
	defer l.pending.release()
	data, hello, err := c.readHello()
	if err == nil {
		select {
		case l.heard <- struct{}{}:
			return data, hello, true
		case <-l.ctx.Done():
		}
	}
	l.forget(c)
	c.Close()
	return nil, nil, false
}

// forget undoes track: Close no longer closes c.
func (l *helloListener) forget(c *pendingHello) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// choose returns the connection for Accept, or nil after a panic or Close. It calls the
// application's functions and keys. A panic there ends the connection, not the process,
// as in a handshake under net/http.
func (l *helloListener) choose(raw net.Conn, data, hello []byte) (conn net.Conn) {
	if l.ctx.Err() != nil {
		return nil
	}
	l.cache.guard(callbackEngineChoice, "", func() error { conn = l.open(raw, data, hello); return nil })
	return conn
}

func (l *helloListener) open(raw net.Conn, data, hello []byte) net.Conn {
	ctx := l.ctx
	if l.choice.asks() { // otherwise nobody sees the deadline, which has its cost
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(l.ctx, handshakeTimeout12)
		defer cancel()
	}
	conn := l.choice.open(ctx, l.cache.newTransport(&replayed{Conn: raw, data: data}, l.choice.policy, false), data, hello)
	if conn12, ok := conn.(*tls12.Conn); ok {
		conn12.LimitHandshake(handshakeTimeout12)
	}
	return conn
}

// reenter makes Close wait for the goroutine of c again, and no longer close c. It
// returns false if Close has closed c.
func (l *helloListener) reenter(c *pendingHello) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	delete(l.conns, c)
	l.own.Add(1)
	return true
}

// offer hands the connection to Accept, and closes raw if that fails.
func (l *helloListener) offer(raw, conn net.Conn) {
	defer l.own.Done()
	if conn == nil || !l.deliver(accepted{conn: conn}) {
		raw.Close()
	}
}

// deliver waits for an Accept that returns a. It returns false after Close.
func (l *helloListener) deliver(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.ctx.Done():
		return false
	}
}
