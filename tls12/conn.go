package tls12

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/halfshake/halfshake/internal/ending"
)

// A Conn is a TLS 1.2 connection. Like those of a *tls.Conn, its methods are safe
// for concurrent use: a Read, a Write and a Close may run at once; concurrent Reads
// wait for each other, and so do concurrent Writes.
//
// An error that stands for an alert is a *net.OpError whose Op is "local error" or
// "remote error", and wraps a [tls.AlertError].
//
// A Conn starts no goroutine.
type Conn struct {
	// Constant.
	conn     net.Conn
	config   *tls.Config
	run      func(context.Context) error // the handshake
	sessions Sessions                    // nil for a client, and for a server without sessions
	limit    time.Duration               // for the handshake; 0 for none
	proposed *Session                    // to the server; nil for none

	in  input
	out output

	complete   atomic.Bool // the handshake has succeeded
	peerClosed atomic.Bool // the peer has sent close_notify
	calls      atomic.Int32

	clean   atomic.Bool             // close_notify was sent while it could be
	ended   atomic.Bool             // Sessions.Ended was called
	session atomic.Pointer[Session] // that the handshake made or resumed

	// The first caller of HandshakeContext sets started, runs the handshake and
	// closes handshaken; other callers wait for that. The fields below belong to the
	// first caller until then, and are constant afterwards.
	started      atomic.Bool
	handshaken   chan struct{}
	handshakeErr error
	agreed       agreement
	secrets      *secrets
}

var _ net.Conn = (*Conn)(nil)

func newConn(conn net.Conn, config *tls.Config, recordVersion uint16) *Conn {
	c := &Conn{conn: conn, config: config, handshaken: make(chan struct{})}
	c.in.conn, c.out.conn = conn, conn
	c.out.version, c.out.fullRecords = recordVersion, config.DynamicRecordSizingDisabled
	return c
}

// Format prints the connection's type and addresses for every verb, so that fmt
// does not print its keys and buffers.
func (c *Conn) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "tls12.Conn(%v, %v)", c.conn.LocalAddr(), c.conn.RemoteAddr())
}

// LocalAddr returns the local network address.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the remote network address.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// NetConn returns the connection below. Reading or writing it corrupts this one.
func (c *Conn) NetConn() net.Conn { return c.conn }

// SetDeadline sets the read and write deadlines of the connection below. After a
// Write has timed out, every later Write returns the same error.
func (c *Conn) SetDeadline(t time.Time) error { return c.conn.SetDeadline(t) }

// SetReadDeadline sets the read deadline of the connection below.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// SetWriteDeadline sets the write deadline of the connection below. See
// [Conn.SetDeadline] for what a Write that times out means.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// Handshake runs the handshake unless it has already run. Read, Write and
// ConnectionState do so too.
func (c *Conn) Handshake() error { return c.HandshakeContext(context.Background()) }

// LimitHandshake sets how long the handshake may take, whichever call runs it; 0 is
// no limit. It must be called before any other method. It exists for net/http,
// which limits the handshake of a *tls.Conn only: for other connections it calls
// ConnectionState before it sets a deadline.
func (c *Conn) LimitHandshake(d time.Duration) { c.limit = d }

// HandshakeContext is Handshake with a context, which the sessions and the
// configuration's callbacks receive. The first call runs the handshake; if its
// context ends first, it closes the connection and returns the context's error.
// Later calls wait for the first. If the context of one of them ends first, that
// call returns the context's error, and neither the handshake nor the connection
// is affected.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.complete.Load() {
		return nil
	}
	if !c.started.Swap(true) {
		return c.runHandshake(ctx)
	}
	select {
	case <-c.handshaken:
		return c.handshakeErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errPanicked is the error of a connection whose handshake panicked.
var errPanicked = errors.New("tls12: a callback panicked during the handshake")

// runHandshake runs the handshake, within c.limit and until ctx ends.
func (c *Conn) runHandshake(ctx context.Context) (err error) {
	defer close(c.handshaken)
	c.handshakeErr = errPanicked
	if c.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.limit)
		defer cancel()
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { c.conn.Close() })
		defer func() {
			if !stop() {
				err = ctx.Err()
			}
		}()
	}
	c.in.Lock()
	defer c.in.Unlock()
	c.handshakeErr = c.handshake(ctx)
	return c.handshakeErr
}

// handshake runs the handshake and frees the buffers that only it needed.
func (c *Conn) handshake(ctx context.Context) error {
	c.out.hold = true // nothing else writes before the handshake is complete
	err := c.run(ctx)
	if err != nil {
		err = c.failed(err)
	}
	c.in.handshake = nil
	c.out.Lock()
	c.out.hold, c.out.flight = false, nil
	c.out.Unlock()
	c.complete.Store(err == nil)
	return err
}

// failed ends the reading half with err, unless a later Read can go on. It sends
// the peer an alert if there is one to send, and returns the error for the caller.
func (c *Conn) failed(err error) error {
	var below error
	switch e := err.(type) {
	case *failure:
		c.out.Lock()
		err = c.out.fatal(e)
		c.out.Unlock()
	case transportError:
		err, below = e.error, e.error
		if ending.Timeout(err) {
			return err
		}
		if isReset(err) && c.out.TryLock() { // a Write in progress finds out by itself
			c.out.err = cmp.Or(c.out.err, err)
			c.out.Unlock()
		}
	}
	c.in.err = err
	switch ending.OfRead(err, below) {
	case ending.Alert:
		c.end(AlertEnd)
	case ending.Unclean:
		c.endQuietly()
	}
	return err
}

// Read reads application data, after running the handshake if necessary. After a
// timeout, a later Read continues without loss.
func (c *Conn) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	c.in.Lock()
	defer c.in.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	for len(c.in.data) == 0 {
		if err := c.readData(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.in.data)
	c.in.data = c.in.data[n:]
	if len(c.in.data) == 0 && c.in.alertWaits() {
		// Return the end of the connection with the last data: net/http's transport
		// then sends no further request on a closed connection.
		return n, c.readData()
	}
	return n, nil
}

// readData reads one record of application data. Renegotiation is not supported, so
// any handshake message ends the connection.
func (c *Conn) readData() error {
	if c.in.err != nil {
		return c.in.err
	}
	typ, content, err := c.nextRecord()
	switch {
	case err != nil:
	case typ == recordApplicationData:
		c.in.data = content
		return nil
	case typ == recordHandshake && asksForRenegotiation(messageType(content[0])):
		err = fail(alertNoRenegotiation, "the peer asks for renegotiation")
	case typ == recordHandshake:
		err = fail(alertUnexpectedMessage, "the peer sent a handshake message after the handshake")
	default:
		err = fail(alertUnexpectedMessage, "the peer sent ChangeCipherSpec after the handshake")
	}
	return c.failed(err)
}

// asksForRenegotiation reports whether a message after the handshake is either
// side's request for another one, which no_renegotiation answers (RFC 5246, section
// 7.2.2).
func asksForRenegotiation(kind messageType) bool {
	return kind == typeHelloRequest || kind == typeClientHello
}

// calls counts the Writes in progress in units of oneWrite; Close sets the bit
// closeCalled.
const (
	closeCalled = 1
	oneWrite    = 2
)

// enter adds to calls and returns the value before, unless Close was called.
func (c *Conn) enter(add int32) (before int32, ok bool) {
	for {
		before = c.calls.Load()
		if before&closeCalled != 0 {
			return before, false
		}
		if c.calls.CompareAndSwap(before, before+add) {
			return before, true
		}
	}
}

// errShutdown is the error of a Write after CloseWrite.
var errShutdown = errors.New("tls12: Write after close_notify was sent")

// Write writes application data, after running the handshake if necessary. It
// returns net.ErrClosed after Close.
func (c *Conn) Write(b []byte) (int, error) {
	if _, ok := c.enter(oneWrite); !ok {
		return 0, net.ErrClosed
	}
	defer c.calls.Add(-oneWrite)
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	c.out.Lock()
	defer c.out.Unlock()
	if c.out.err == nil && c.out.notified {
		return 0, errShutdown
	}
	n, err := c.out.write(recordApplicationData, b)
	c.out.sent += int64(n)
	return n, err
}

// errEarlyCloseWrite corresponds to an error of crypto/tls.
var errEarlyCloseWrite = errors.New("tls12: CloseWrite called before the handshake was complete")

// CloseWrite sends close_notify, after which nothing can be written. It does not
// touch the connection below. It returns an error before the handshake is complete.
func (c *Conn) CloseWrite() error {
	if !c.complete.Load() {
		return errEarlyCloseWrite
	}
	return c.notify()
}

// notifyTimeout limits how long sending close_notify may take.
const notifyTimeout = 5 * time.Second

// notify sends close_notify. Unless the transport had ended before, the connection
// has then ended cleanly, even if the peer is gone and close_notify does not reach
// it. Only a fatal alert changes that.
func (c *Conn) notify() error {
	c.out.Lock()
	defer c.out.Unlock()
	if ending.OfTransport(c.out.err) != ending.Unclean || c.peerClosed.Load() {
		c.clean.Store(true)
	}
	if !c.out.notified {
		c.out.notified = true
		c.conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
		_, c.out.notifyErr = c.out.write(recordAlert, closeNotify)
		c.conn.SetWriteDeadline(time.Now()) // later writes fail
	}
	return c.out.notifyErr
}

// Close sends close_notify if the handshake is complete, which may take up to five
// seconds, and closes the connection below. While a Write is in progress, Close
// sends nothing and closes the connection at once, which makes the Write fail. It
// returns net.ErrClosed if Close was called before.
func (c *Conn) Close() error {
	before, ok := c.enter(closeCalled)
	if !ok {
		return net.ErrClosed
	}
	if before != 0 {
		defer c.end(UncleanEnd)
		return c.conn.Close()
	}
	var err error
	if c.complete.Load() {
		if err = c.notify(); err != nil {
			err = fmt.Errorf("tls12: close_notify could not be sent: %w", err)
		}
	}
	c.endQuietly()
	return cmp.Or(c.conn.Close(), err)
}

// endQuietly reports an end without an alert, clean if close_notify was sent.
func (c *Conn) endQuietly() {
	if c.clean.Load() {
		c.end(CleanEnd)
	} else {
		c.end(UncleanEnd)
	}
}

// end calls Sessions.Ended, once, if the connection made or resumed a session.
func (c *Conn) end(how Ending) {
	s := c.session.Load()
	if s == nil || c.sessions == nil || c.ended.Swap(true) {
		return
	}
	c.sessions.Ended(s, how)
}
