package client

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
)

// GnuTLS drives gnutls-cli with the inline command ^resume^. Unlike with --resume, the first connection can be used too.
var GnuTLS = Driver{Name: "gnutls-cli ^resume^", Binary: "gnutls-cli", Package: "gnutls-bin", visit: visitGnuTLS}

// GnuTLSFlag drives "gnutls-cli --resume". It closes the first connection right after the handshake, without a request, so
// the first Visit is empty.
var GnuTLSFlag = Driver{Name: "gnutls-cli --resume", Binary: "gnutls-cli", Package: "gnutls-bin", visit: visitGnuTLSFlag}

const (
	gnutlsHandshake = "Handshake was completed"
	gnutlsResumed   = "*** This is a resumed session"
)

func visitGnuTLS(ctx context.Context, target Target) ([]Visit, error) {
	if target.Between != nil { // Between may end the server, and gnutls-cli would exit with it
		relay, err := startRelay(net.JoinHostPort(target.Host, target.Port))
		if err != nil {
			return nil, err
		}
		defer relay.stop()
		if target.Host, target.Port, err = net.SplitHostPort(relay.Addr().String()); err != nil {
			return nil, err
		}
	}
	g, err := startGnuTLS(ctx, target, "--inline-commands")
	if err != nil {
		return nil, err
	}
	g.await(gnutlsHandshake)
	g.say(request(target, "keep-alive"))
	first := Visit{Answer: g.answer(), View: g.view()}
	target.between()
	g.say("^resume^\n")
	g.await(gnutlsHandshake)
	g.say(request(target, "close"))
	second := Visit{Answer: g.answer(), View: g.view()}
	return []Visit{first, second}, g.end()
}

func visitGnuTLSFlag(ctx context.Context, target Target) ([]Visit, error) {
	g, err := startGnuTLS(ctx, target, "--resume")
	if err != nil {
		return nil, err
	}
	g.await(gnutlsHandshake)
	g.await(gnutlsHandshake)
	g.say(request(target, "close"))
	second := Visit{Answer: g.answer(), View: g.view()}
	return []Visit{{}, second}, g.end()
}

// gnutls is a conversation with gnutls-cli. After the first error, its methods do nothing, and end returns the error.
type gnutls struct {
	in     io.WriteCloser
	out    *bufio.Reader
	log    bytes.Buffer // all of stdout that was read
	stderr bytes.Buffer
	wait   func() error
	err    error
}

func startGnuTLS(ctx context.Context, target Target, flag string) (*gnutls, error) {
	priority := "NORMAL:-VERS-ALL:+VERS-TLS" + target.Version
	if target.NoTickets {
		priority += ":%NO_TICKETS"
	}
	cmd := command(ctx, target, "gnutls-cli", flag, "--sni-hostname", target.ServerName,
		"--verify-hostname", target.ServerName, "--alpn", "http/1.1", "--x509cafile", target.Roots,
		"--priority", priority, "--port", target.Port, target.Host)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g := &gnutls{in: in, wait: cmd.Wait}
	cmd.Stderr = &g.stderr
	g.out = bufio.NewReader(io.TeeReader(out, &g.log))
	return g, cmd.Start()
}

func (g *gnutls) say(text string) {
	if g.err == nil {
		_, g.err = io.WriteString(g.in, text)
	}
}

// await reads up to a line with text in it.
func (g *gnutls) await(text string) {
	for line := ""; g.err == nil && !strings.Contains(line, text); {
		line, g.err = g.out.ReadString('\n')
	}
}

func (g *gnutls) answer() (answer Answer) {
	if g.err == nil {
		answer, g.err = readAnswer(g.out)
	}
	return answer
}

// view returns the view of the latest connection.
func (g *gnutls) view() View { return viewBy(g.log.Bytes(), gnutlsResumed) }

// end waits for the client to exit, which it does when the server closes the connection.
func (g *gnutls) end() error {
	_ = g.in.Close()
	_, _ = io.Copy(io.Discard, g.out)
	if err := g.wait(); g.err == nil {
		g.err = err
	}
	if g.err != nil {
		return failure(fmt.Errorf("conversation: %w", g.err), g.log.Bytes(), g.stderr.Bytes())
	}
	return nil
}
