package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// A tunnel is a client's connection and its connection to the backend. When ctx ends, it is
// cut off.
type tunnel struct {
	proxy  *TCP
	ctx    context.Context
	cancel context.CancelFunc

	client  net.Conn     // TLS
	backend *net.TCPConn // set before relay
	idle    *idle
}

// run returns when both connections are closed and no goroutine is left.
func (t *tunnel) run() {
	t.proxy.guard(func() {
		if t.open() {
			t.relay()
		}
	}, t.cancel)
	if t.ctx.Err() != nil {
		abort(t.client)
	}
	_ = t.client.Close()
}

// open completes the handshake before it connects to the backend.
func (t *tunnel) open() bool {
	if err := t.handshake(); err != nil {
		t.proxy.log.Debug("the TLS handshake failed", "client", t.client.RemoteAddr().String(), "error", err)
		return false
	}
	conn, err := t.proxy.dialer.DialContext(t.ctx, "tcp", t.proxy.address)
	if err != nil {
		if t.ctx.Err() == nil {
			t.proxy.warnings.warn("the backend fails", reason(err))
		}
		return false
	}
	t.backend = conn.(*net.TCPConn)
	return true
}

func (t *tunnel) handshake() error {
	conn, ok := t.client.(interface{ HandshakeContext(context.Context) error })
	if !ok {
		return errors.New("the connection is not TLS")
	}
	ctx, cancel := t.ctx, context.CancelFunc(func() {})
	if limit := t.proxy.handshake; limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	return conn.HandshakeContext(ctx)
}

// relay passes bytes on until both sides have ended.
func (t *tunnel) relay() {
	defer t.backend.Close()
	t.idle = newIdle(t.proxy.idle, func() {
		_ = t.client.Close()
		_ = t.backend.Close()
	})
	defer t.idle.stop()
	defer context.AfterFunc(t.ctx, t.abort)()

	var up sync.WaitGroup
	up.Go(func() { t.pass(t.backend, t.client) })
	t.pass(t.client, t.backend)
	t.idle.shorten(t.proxy.halfOpen)
	up.Wait()
}

// abort ends both copies. The backend sees a reset.
func (t *tunnel) abort() {
	_ = t.backend.SetLinger(0)
	_ = t.backend.Close()
	abort(t.client)
}

// pass copies src to dst and then tells dst that src has ended. If either fails,
// the tunnel is cut off.
func (t *tunnel) pass(dst, src net.Conn) {
	t.proxy.guard(func() {
		err := t.copy(dst, src)
		if err == nil {
			err = closeWrite(dst)
		}
		if err != nil {
			t.cancel()
		}
	}, t.cancel)
}

// copy is io.Copy with a pooled buffer, which touches idle.
func (t *tunnel) copy(dst io.Writer, src io.Reader) error {
	buffer := t.proxy.buffers.Get()
	defer t.proxy.buffers.Put(buffer)
	for {
		n, err := src.Read(buffer)
		t.idle.touch()
		if n > 0 {
			if _, err := dst.Write(buffer[:n]); err != nil {
				return err
			}
			t.idle.touch()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
