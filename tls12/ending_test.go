package tls12

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestEndings checks what a server's Sessions learn about the end of a connection.
func TestEndings(t *testing.T) {
	read := func(c *Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	for name, test := range map[string]struct {
		run  func(t *testing.T, c, s *Conn)
		want []Ending
	}{
		"Close":      {func(t *testing.T, c, s *Conn) { s.Close() }, []Ending{CleanEnd}},
		"CloseWrite": {func(t *testing.T, c, s *Conn) { s.CloseWrite(); s.Close() }, []Ending{CleanEnd}},
		"the client's close_notify, then Close": {func(t *testing.T, c, s *Conn) {
			c.Close()
			if err := read(s); err != io.EOF {
				t.Errorf("Read: %v", err)
			}
			s.Close()
		}, []Ending{CleanEnd}},
		"the transport's end": {func(t *testing.T, c, s *Conn) {
			c.conn.Close()
			if err := read(s); err != io.EOF {
				t.Errorf("Read: %v", err)
			}
			s.Close()
		}, []Ending{UncleanEnd}},
		"a timeout, then Close": {func(t *testing.T, c, s *Conn) {
			s.SetReadDeadline(time.Now())
			if err := read(s); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Read: %v", err)
			}
			s.Close()
		}, []Ending{CleanEnd}},
		"a fatal alert received": {func(t *testing.T, c, s *Conn) {
			c.out.write(recordAlert, []byte{levelFatal, 80})
			wantAlert(t, read(s), "remote error", alertInternalError)
			s.Close()
		}, []Ending{AlertEnd}},
		"a fatal alert sent": {func(t *testing.T, c, s *Conn) {
			c.conn.Write(newRecord(recordApplicationData, make([]byte, 30)))
			wantAlert(t, read(s), "local error", alertBadRecordMAC)
			s.Close()
		}, []Ending{AlertEnd}},
		"a fatal alert after CloseWrite": {func(t *testing.T, c, s *Conn) {
			s.CloseWrite()
			c.conn.Write(newRecord(recordApplicationData, make([]byte, 30)))
			wantAlert(t, read(s), "local error", alertBadRecordMAC)
			s.Close()
		}, []Ending{AlertEnd}},
		"the transport ends after CloseWrite": {func(t *testing.T, c, s *Conn) {
			s.CloseWrite()
			c.conn.Close()
			read(s)
			s.Close()
		}, []Ending{CleanEnd}},
		"Close during a Write": {func(t *testing.T, c, s *Conn) {
			wrote := make(chan error)
			go func() { _, err := s.Write(make([]byte, 64<<20)); wrote <- err }()
			for s.calls.Load() == 0 {
				runtime.Gosched()
			}
			start := time.Now()
			s.Close()
			if took := time.Since(start); took > limit/4 {
				t.Errorf("Close took %v", took)
			}
			if err := <-wrote; err == nil {
				t.Error("the Write ended well")
			}
		}, []Ending{UncleanEnd}},
		"a Write that timed out, then Close": {func(t *testing.T, c, s *Conn) {
			s.SetWriteDeadline(time.Now())
			if _, err := s.Write([]byte("text")); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write: %v", err)
			}
			s.Close()
		}, []Ending{CleanEnd}},
		"a Write that failed, then Close": {func(t *testing.T, c, s *Conn) {
			c.conn.(*net.TCPConn).SetLinger(0) // Close resets the connection
			c.conn.Close()
			for {
				if _, err := s.Write([]byte("text")); err != nil {
					break
				}
			}
			s.Close()
		}, []Ending{UncleanEnd}},
		"the connection below closed on this side, a Write, then Close": {func(t *testing.T, c, s *Conn) {
			s.conn.Close()
			if _, err := s.Write([]byte("text")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Write: %v", err)
			}
			s.Close()
		}, []Ending{CleanEnd}},
		"nothing": {func(t *testing.T, c, s *Conn) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &mapSessions{}
			c, s := connect(t, clientConfig(t), serverConfig(t), sessions, nil)
			test.run(t, c, s)
			if !slices.Equal(sessions.endings, test.want) {
				t.Errorf("the endings are %v, want %v", sessions.endings, test.want)
			}
		})
	}
}

// TestEndedAfterStore closes the connection after the server has stored the session and
// before it can send Finished.
func TestEndedAfterStore(t *testing.T) {
	sessions := &mapSessions{}
	clientConn, serverConn := tcpPair(t)
	gone := func(flight int, records [][]byte) [][]byte {
		if flight == 1 {
			serverConn.Close()
		}
		return records
	}
	c := newClient(t, clientConn, clientConfig(t), nil)
	s := newServer(t, &mutatedConn{Conn: serverConn, mutate: gone}, serverConfig(t), sessions)
	if clientErr, serverErr := handshakes(c, s); clientErr == nil || serverErr == nil {
		t.Errorf("client: %v; server: %v", clientErr, serverErr)
	}
	s.Close()
	if sessions.counts()[2] != 1 || !slices.Equal(sessions.endings, []Ending{UncleanEnd}) {
		t.Errorf("the endings are %v", sessions.endings)
	}
}

// pipePair returns both sides of a connection over a net.Pipe. If below is not nil, the
// server uses what it returns for its end.
func pipePair(t *testing.T, sessions Sessions, below func(net.Conn) net.Conn) (c, s *Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	near.SetDeadline(time.Now().Add(limit))
	far.SetDeadline(time.Now().Add(limit))
	if below != nil {
		far = below(far)
	}
	c, s = newClient(t, near, clientConfig(t), nil), newServer(t, far, serverConfig(t), sessions)
	if clientErr, serverErr := handshakes(c, s); clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
	return c, s
}

// TestEndingsOverPipe is TestEndings over a net.Pipe, whose errors differ from a
// socket's.
func TestEndingsOverPipe(t *testing.T) {
	read := func(t *testing.T, s *Conn, want error) {
		t.Helper()
		if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
			t.Errorf("Read: %d, %v; want %v", n, err, want)
		}
	}
	for name, test := range map[string]struct {
		run  func(t *testing.T, c, s *Conn)
		want []Ending
	}{
		"Close on this side, which the peer reads": {func(t *testing.T, c, s *Conn) {
			go io.Copy(io.Discard, c)
			s.Close()
		}, []Ending{CleanEnd}},
		"Close on this side beside a Read": {func(t *testing.T, c, s *Conn) {
			done := make(chan struct{})
			go func() { defer close(done); read(t, s, io.ErrClosedPipe) }()
			go io.Copy(io.Discard, c)
			s.Close()
			<-done
		}, []Ending{CleanEnd}},
		"Close on the peer's side": {func(t *testing.T, c, s *Conn) {
			go c.Close()
			read(t, s, io.EOF)
			s.Close()
		}, []Ending{CleanEnd}},
		"the peer's end closed without close_notify": {func(t *testing.T, c, s *Conn) {
			c.conn.Close()
			read(t, s, io.EOF)
			s.Close()
		}, []Ending{UncleanEnd}},
		"this side's end closed below the connection, not yet Close": {func(t *testing.T, c, s *Conn) {
			s.conn.Close()
			read(t, s, io.ErrClosedPipe)
		}, nil},
		"this side's end closed below the connection, then Close": {func(t *testing.T, c, s *Conn) {
			s.conn.Close()
			read(t, s, io.ErrClosedPipe)
			s.Close()
		}, []Ending{CleanEnd}},
		"a deadline": {func(t *testing.T, c, s *Conn) {
			s.SetReadDeadline(time.Now())
			read(t, s, os.ErrDeadlineExceeded)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			sessions := &mapSessions{}
			c, s := pipePair(t, sessions, nil)
			test.run(t, c, s)
			if !slices.Equal(sessions.endings, test.want) {
				t.Errorf("the endings are %v, want %v", sessions.endings, test.want)
			}
		})
	}
}

// A failingConn returns an error from one Read.
type failingConn struct {
	net.Conn
	err error
}

func (c *failingConn) Read(b []byte) (int, error) {
	if err := c.err; err != nil {
		c.err = nil
		return 0, err
	}
	return c.Conn.Read(b)
}

// slow is a timeout that is not os.ErrDeadlineExceeded.
type slow struct{}

func (slow) Error() string   { return "too slow" }
func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return true }

// TestTransportErrors checks that an error of the connection below is judged as such,
// even if it looks like one of this package.
func TestTransportErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want []Ending
	}{
		"a timeout of its own":    {slow{}, nil},
		"another layer's alert":   {remoteError(alertHandshakeFailure), []Ending{UncleanEnd}},
		"another layer's failure": {&failure{alertBadRecordMAC, io.ErrNoProgress}, []Ending{UncleanEnd}},
		"an unknown error":        {errors.New("unknown"), []Ending{UncleanEnd}},
	} {
		t.Run(name, func(t *testing.T) {
			sessions, below := &mapSessions{}, &failingConn{}
			c, s := pipePair(t, sessions, func(conn net.Conn) net.Conn { below.Conn = conn; return below })
			below.err = test.err
			if _, err := s.Read(make([]byte, 1)); err != test.err {
				t.Errorf("Read: %v, want %v", err, test.err)
			}
			if !slices.Equal(sessions.endings, test.want) {
				t.Errorf("the endings are %v, want %v", sessions.endings, test.want)
			}
			if test.want != nil {
				return
			}
			go c.Write([]byte{1})
			if n, err := s.Read(make([]byte, 1)); n != 1 {
				t.Errorf("a later Read: %d, %v", n, err)
			}
		})
	}
}
