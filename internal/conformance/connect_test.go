package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/halfshake/halfshake"
)

const patience = 20 * time.Second

// connect makes one connection, or as many as times= says and prints only totals.
func (w *world) connect(words []string) {
	times, err := strconv.Atoi(option(words, "times"))
	if err != nil {
		w.connectOnce(words)
		return
	}
	w.tally, w.quiet = tally{}, true
	for range times {
		w.connectOnce(words)
	}
	w.quiet = false
	w.say("full=%d resumed=%d failed=%d new=%d get=%d remove=%d", w.tally.full, w.tally.resumed, w.tally.failed,
		w.tally.calledNew, w.tally.calledGet, w.tally.calledRemove)
}

// offer returns the session that a client offers.
func (w *world) offer(c *client, words []string) *clientSession {
	switch name := option(words, "offer"); name {
	case "":
		return c.session
	case "none":
		return nil
	default:
		return w.known(name)
	}
}

func (w *world) connectOnce(words []string) {
	s, c := w.current, w.client(words[1])
	offered := w.offer(c, words)
	open, err := s.opener()
	if err != nil {
		w.say("not served")
		return
	}
	near, far := socketPair(w)
	defer near.Close()
	defer far.Close()
	ours, err := c.open(near, offered)
	if err != nil {
		w.t.Fatal(err)
	}
	served := &service{world: w, far: far, handshaken: make(chan error, 1), end: make(chan string), done: make(chan struct{})}
	go served.run(open)
	clientErr := exchange(ours)
	serverErr := served.handshakeErr(near, clientErr)
	if clientErr != nil || serverErr != nil {
		near.Close()
		close(served.end)
		<-served.done
		w.failed(clientErr, serverErr)
		return
	}
	adopted := ours.adopted(offered)
	w.report(served.conn, ours, adopted)
	if name := w.learn(adopted); adopted != nil {
		w.holdCached(s, name, served.conn)
	}
	if !slices.Contains(words, "keep") {
		c.session = adopted
	}
	served.finish(option(words, "close"), near, ours)
}

// holdCached keeps the session that the server's application can get at.
func (w *world) holdCached(s *server, name string, c conn) {
	if session, ok := halfshake.SessionOf(c); ok {
		w.hold(session)
	} else if name != "ticket" {
		if session, ok := s.cache.Session(w.idOf(name)); ok {
			w.hold(session)
		}
	}
}

// exchange is the client's handshake, a byte sent and a byte received.
func exchange(c conn) error {
	c.SetDeadline(time.Now().Add(patience))
	if err := c.HandshakeContext(context.Background()); err != nil {
		return err
	}
	_, writeErr := c.Write([]byte{1})
	_, err := io.ReadFull(c, make([]byte, 1)) // even if the server is gone: it may have sent an alert
	if writeErr != nil && alertIn(err) == "" {
		return writeErr
	}
	return err
}

func (w *world) report(server conn, c clientConn, adopted *clientSession) {
	state := server.ConnectionState()
	outcome, name := "full", w.nameOf(adopted.id())
	w.count(func(t *tally) {
		if state.DidResume {
			t.resumed++
		} else {
			t.full++
		}
	})
	if state.DidResume {
		outcome = "resumed"
	}
	if state.NegotiatedProtocol != "" {
		name += " alpn=" + state.NegotiatedProtocol
	}
	if len(state.PeerCertificates) > 0 {
		name += " with certificate"
	}
	if c.ConnectionState().DidResume != state.DidResume {
		w.t.Errorf("%s: client and server disagree whether the handshake resumed", w.scenario.Name)
	}
	w.say("%s %s", outcome, name)
}

// failed prints the alert that ended a handshake, as the side saw it that received it.
func (w *world) failed(clientErr, serverErr error) {
	w.count(func(t *tally) { t.failed++ })
	switch {
	case alertIn(clientErr) != "":
		w.say("failed: server sends %s", alertIn(clientErr))
	case alertIn(serverErr) != "":
		w.say("failed: client sends %s", alertIn(serverErr))
	default:
		w.say("failed: no alert")
	}
}

// alertNames are those whose text in crypto/tls is not OpenSSL's.
var alertNames = map[string]string{
	"error decrypting message": "decrypt error", "error decoding message": "decode error",
	"protocol version not supported": "protocol version", "unknown certificate authority": "unknown CA",
	"bad record MAC": "bad record mac",
}

// alertIn returns the alert that the peer sent, or "".
func alertIn(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return ""
	}
	_, text, _ := strings.Cut(op.Err.Error(), "tls: ")
	text = strings.TrimPrefix(text, "alert: ")
	if name, ok := alertNames[text]; ok {
		return name
	}
	return text
}

// A service is the goroutine of the server's side of a connection.
type service struct {
	world      *world
	far        net.Conn
	conn       conn
	handshaken chan error
	end        chan string // how the connection ends; closed if it has failed
	done       chan struct{}
}

func (s *service) run(open opener) {
	defer close(s.done)
	var err error
	if s.conn, err = open(s.far); err == nil {
		defer s.conn.Close()
		err = s.serve()
	}
	if err != nil {
		s.far.Close() // crypto/tls does not always send an alert
	}
	s.handshaken <- err
	how, ok := <-s.end
	if !ok {
		return
	}
	s.conn.SetDeadline(time.Now().Add(patience))
	if how != "server" {
		io.Copy(io.Discard, s.conn)
	}
	s.conn.Close()
}

// serve is the server's handshake, a byte received and a byte sent.
func (s *service) serve() error {
	s.conn.SetDeadline(time.Now().Add(patience))
	if err := s.conn.HandshakeContext(context.Background()); err != nil {
		return err
	}
	if _, err := io.ReadFull(s.conn, make([]byte, 1)); err != nil {
		return err
	}
	_, err := s.conn.Write([]byte{1})
	return err
}

// handshakeErr waits for the server. A client that has failed is gone.
func (s *service) handshakeErr(near net.Conn, clientErr error) error {
	if clientErr != nil {
		near.(interface{ CloseWrite() error }).CloseWrite()
	}
	return <-s.handshaken
}

// garbage is a record that does not decrypt: its reader sends a fatal alert.
var garbage = []byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32))

// finish ends the connection and waits for the server to notice.
func (s *service) finish(how string, near net.Conn, c clientConn) {
	switch how {
	case "alert-client":
		s.far.Write(garbage)
		c.Read(make([]byte, 1))
		near.Close()
	case "alert-server":
		near.Write(garbage)
	case "abrupt":
		near.Close()
	case "server":
	default:
		c.CloseWrite()
	}
	s.end <- how
	<-s.done
}

// socketPair returns the two ends of a connection within this process.
func socketPair(w *world) (near, far net.Conn) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), fmt.Sprint("socketpair ", i))
		ends[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return ends[0], ends[1]
}
