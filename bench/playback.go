package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/halfshake/halfshake"
)

// A playback is a server without a network: a client that resumes was recorded
// once, and is played back. So nothing is measured but the handshake. Randomness
// and time stand still for that.
type playback struct {
	name   string
	serve  func(net.Conn) (tlsConn, error)
	script []byte // what the client writes
	hello  int    // how much of it is the ClientHello's record
}

// compareInMemory measures what a handshake resumed by session id costs, beside
// those of crypto/tls.
func compareInMemory(dir string, e extent) error {
	server, err := serverConfig(dir)
	if err != nil {
		return err
	}
	cache, err := halfshake.New(halfshake.Config{Scope: "bench", SessionIDs: halfshake.SessionIDsAlways})
	if err != nil {
		return err
	}
	still(server)
	tickets := func(raw net.Conn) (tlsConn, error) { return tls.Server(raw, server), nil }
	ids := func(raw net.Conn) (tlsConn, error) { return cache.Server(raw, server) }
	config := func(version uint16) *tls.Config { return still(newConfig(version, nil)) }
	playbacks := []*playback{
		{name: "crypto/tls, TLS 1.3", serve: tickets},
		{name: "crypto/tls, TLS 1.2", serve: tickets},
		{name: "Server, session id", serve: ids},
	}
	for i, cl := range []client{
		ticketClient{config(tls.VersionTLS13)}, ticketClient{config(tls.VersionTLS12)}, newIDClient(config(tls.VersionTLS12)),
	} {
		if err := playbacks[i].record(cl); err != nil {
			return fmt.Errorf("%s: %w", playbacks[i].name, err)
		}
	}
	return errors.Join(playAll(playbacks, e), cache.Close())
}

// still stops the randomness and the clock of a configuration, and has it agree on
// X25519.
func still(config *tls.Config) *tls.Config {
	now := time.Now()
	config.Rand, config.Time = constant{}, func() time.Time { return now }
	config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} // the second for the certificate
	return config
}

type constant struct{}

func (constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 0x42
	}
	return len(b), nil
}

// record keeps what the client writes when it resumes.
func (p *playback) record(cl client) error {
	resumed := false
	for range 2 {
		near, far := net.Pipe()
		tape := &tape{Conn: near}
		served := make(chan error, 1)
		go func() {
			conn, err := p.serve(far)
			if err == nil {
				_, err = conn.Write([]byte{1})
			}
			io.Copy(io.Discard, far) // the client's close_notify
			served <- err
		}()
		var err error
		resumed, err = cl.over(tape)
		if err := errors.Join(err, <-served); err != nil {
			return err
		}
		p.script, p.hello = tape.wrote, tape.first
	}
	if !resumed {
		return errNotResumed
	}
	return nil
}

// A tape notes what is written to a connection.
type tape struct {
	net.Conn
	wrote []byte
	first int // the length of the first write
}

func (t *tape) Write(b []byte) (int, error) {
	if t.wrote = append(t.wrote, b...); t.first == 0 {
		t.first = len(b)
	}
	return t.Conn.Write(b)
}

// playAll prints what the servers spend, which here is what this process does.
func playAll(playbacks []*playback, e extent) error {
	const faster = 10 // than over a network
	n := faster * e.handshakes
	results, names := make([]result, len(playbacks)), make([]string, len(playbacks))
	err := interleave(e.runs, len(playbacks), func(i int, counts bool) error {
		p, before := playbacks[i], spentSoFar()
		for range n {
			if err := p.play(); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		if names[i], results[i].hello = p.name, p.hello; counts {
			results[i].add(spentSoFar().minus(before), n)
		}
		return nil
	})
	if err == nil {
		reportResumed("in memory, X25519", n, names, results)
	}
	return err
}

// play makes one resumed handshake.
func (p *playback) play() error {
	conn, err := p.serve(&player{rest: bytes.NewReader(p.script)})
	if err != nil {
		return err
	}
	if err := conn.Handshake(); err != nil {
		return err
	}
	if !conn.ConnectionState().DidResume {
		return errNotResumed
	}
	return nil
}

// A player is a connection to a recorded client, which takes whatever is written.
type player struct {
	net.Conn // nil
	rest     io.Reader
}

func (p *player) Read(b []byte) (int, error)       { return p.rest.Read(b) }
func (p *player) Write(b []byte) (int, error)      { return len(b), nil }
func (p *player) Close() error                     { return nil }
func (p *player) LocalAddr() net.Addr              { return nil }
func (p *player) RemoteAddr() net.Addr             { return nil }
func (p *player) SetDeadline(time.Time) error      { return nil }
func (p *player) SetReadDeadline(time.Time) error  { return nil }
func (p *player) SetWriteDeadline(time.Time) error { return nil }
