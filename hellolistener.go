package halfshake

import (
	"container/list"
	"context"
	"net"
	"sync"
	"time"

	"github.com/halfshake/halfshake/tls12"
)

// A helloListener reads the ClientHello of each connection before Accept returns
// it, since the engine depends on what it says. Reading has a time, a size and a
// number: who connects and says nothing holds one of Config.MaxPending places for
// five seconds at most, and gives it up to those who come after.
type helloListener struct {
	inner  net.Listener
	cache  *Cache
	choice engineChoice

	ready  chan accepted // what Accept returns
	places chan struct{} // one for each connection on its way there
	ctx    context.Context
	cancel context.CancelFunc // by Close
	work   sync.WaitGroup

	// reading holds the net.Conns whose ClientHello is not whole, oldest first.
	mu      sync.Mutex
	reading *list.List
}

type accepted struct {
	conn net.Conn
	err  error
}

func newHelloListener(inner net.Listener, c *Cache, p policy) *helloListener {
	l := &helloListener{
		inner: inner, cache: c, choice: c.newEngineChoice(p), reading: list.New(),
		ready: make(chan accepted), places: make(chan struct{}, c.cfg.MaxPending),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.work.Go(l.acceptAll)
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

// Close closes the listener below and the connections that Accept has not
// returned, and waits for their goroutines.
func (l *helloListener) Close() error {
	l.cancel()
	err := l.inner.Close()
	l.mu.Lock()
	for e := l.reading.Front(); e != nil; e = e.Next() {
		e.Value.(net.Conn).Close()
	}
	l.mu.Unlock()
	l.work.Wait()
	return err
}

// acceptAll takes connections from the listener below until Close. What its
// Accept returns as an error, ours does.
func (l *helloListener) acceptAll() {
	for l.ctx.Err() == nil {
		raw, err := l.inner.Accept()
		if err != nil {
			l.deliver(accepted{err: err})
			continue
		}
		if !l.takePlace() {
			raw.Close()
			return
		}
		e := l.enter(raw)
		l.work.Go(func() { l.pend(raw, e) })
	}
}

// takePlace waits for a place, and where all are taken makes the oldest connection
// that is still reading give up its own. It returns false after Close.
func (l *helloListener) takePlace() bool {
	select {
	case l.places <- struct{}{}:
		return true
	default:
		l.closeOldest()
	}
	select {
	case l.places <- struct{}{}:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// enter lists a connection among those that are reading, in the order in which
// they came.
func (l *helloListener) enter(raw net.Conn) *list.Element {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reading.PushBack(raw)
}

func (l *helloListener) leave(e *list.Element) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading.Remove(e)
}

func (l *helloListener) closeOldest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.reading.Front(); e != nil {
		l.reading.Remove(e).(net.Conn).Close()
	}
}

// pend is a connection's way to Accept. One whose reader fails, by its end or its
// time, has nothing to be served. The application's code may run on it (its
// configuration's functions, its keys); a panic there ends the connection, as it
// does in a handshake under net/http, and not the process.
func (l *helloListener) pend(raw net.Conn, e *list.Element) {
	defer func() { <-l.places }()
	data, hello, err := l.read(raw, e)
	var conn net.Conn
	if err == nil {
		err = l.cache.guard(callbackEngineChoice, "", func() error { conn = l.open(raw, data, hello); return nil })
	}
	if err != nil || !l.deliver(accepted{conn: conn}) {
		raw.Close()
	}
}

func (l *helloListener) read(raw net.Conn, e *list.Element) (data, hello []byte, err error) {
	defer l.leave(e)
	if err := l.ctx.Err(); err != nil { // Close may have been before
		return nil, nil, err
	}
	raw.SetReadDeadline(time.Now().Add(helloTimeout))
	defer raw.SetReadDeadline(time.Time{})
	return readHello(raw)
}

// deliver hands a to Accept; false after Close.
func (l *helloListener) deliver(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.ctx.Done():
		return false
	}
}

// open returns the connection that Accept does.
func (l *helloListener) open(raw net.Conn, data, hello []byte) net.Conn {
	ctx := context.Background() // nobody sees it; one that ends has its cost
	if l.choice.asks() {
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
