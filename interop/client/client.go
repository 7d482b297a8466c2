// Package client drives TLS clients that are not Go's. Each driver, one file a client, makes a first connection and a
// second one that offers the session of the first, and asks for /connection.json on both.
package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"time"
)

// Driver is one client program.
type Driver struct {
	Name    string
	Binary  string // the program to look for on PATH
	File    string // the file to look for as well, if any
	Package string // the Debian package that has them

	// Ticketless says that in TLS 1.2 the client does not offer to take a ticket.
	Ticketless bool
	// NeedsID says that in TLS 1.2 the client offers a ticket only after a full handshake in which the server gave it a
	// session id, which crypto/tls never does.
	NeedsID bool

	visit func(context.Context, Target) ([]Visit, error)
}

// Target says where a client connects and as what.
type Target struct {
	Host, Port string // of the server
	ServerName string // to ask for and to verify
	Roots      string // PEM file of the roots to trust
	Version    string // the only protocol version to offer: "1.2" or "1.3"

	// The client's certificate, as PEM files; all empty for none.
	Chain, Intermediate, Key string

	Dir string // an empty directory for the client's own files

	// NoTickets keeps the client from offering to take a ticket in TLS 1.2. Curl and WolfSSL never do.
	NoTickets bool
	// Between, if not nil, is called between the two connections, and the second begins when it has returned. Curl and
	// GnuTLSFlag, which cannot wait, never call it.
	Between func()
}

func (t Target) between() {
	if t.Between != nil {
		t.Between()
	}
}

// Answer is what the server says about a connection in /connection.json.
type Answer struct {
	Protocol                string  `json:"protocol"`
	CipherSuite             string  `json:"cipher_suite"`
	ServerName              string  `json:"server_name"`
	ALPN                    string  `json:"alpn"`
	Resumed                 bool    `json:"resumed"`
	ResumedBy               string  `json:"resumed_by"`
	SessionAgeSeconds       float64 `json:"session_age_seconds"`
	Engine                  string  `json:"engine"`
	ClientCertificateSHA256 string  `json:"client_certificate_sha256"`

	Body []byte `json:"-"` // the answer as it came
}

// View is what a client itself says about its handshake.
type View string

// The views that a client can have; Untold is that of a client that does not say.
const (
	Untold  View = ""
	Full    View = "full"
	Resumed View = "resumed"
)

// Visit is one connection, as the server and as the client saw it.
type Visit struct {
	Answer
	View View

	// Secrets are the ids and secrets of the session that the client got, where it shows them; nothing may print them.
	Secrets [][]byte
}

// Visit makes the two connections. The error of a client that failed has all that the client printed.
func (d Driver) Visit(ctx context.Context, target Target) (first, second Visit, err error) {
	visits, err := d.visit(ctx, target)
	if err == nil && len(visits) != 2 {
		err = fmt.Errorf("%d answers, want 2", len(visits))
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if err != nil {
		return Visit{}, Visit{}, fmt.Errorf("%s, TLS %s: %w", d.Name, target.Version, err)
	}
	return visits[0], visits[1], nil
}

// command is a client that does not see this process's environment, so no proxy and no settings of the user's.
func command(ctx context.Context, target Target, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + target.Dir, "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	return cmd
}

// output runs a client to its end and returns what it printed on stdout.
func output(cmd *exec.Cmd) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, failure(err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

func failure(err error, stdout, stderr []byte) error {
	return fmt.Errorf("%w\nstdout:\n%s\nstderr:\n%s", err, redact(stdout), redact(stderr))
}

// printedSession is what openssl and gnutls-cli print of a session; openssl goes on with its secrets, in several forms.
var printedSession = regexp.MustCompile(`(?s:SSL-Session:.*)|Session ID:.*`)

// redact leaves the sessions out of a client's output.
func redact(out []byte) []byte { return printedSession.ReplaceAll(out, []byte("(a session)")) }

// request is the HTTP request for /connection.json; connection is the value of its Connection header.
func request(target Target, connection string) string {
	return "GET /connection.json HTTP/1.1\r\nHost: " + target.ServerName + "\r\nConnection: " + connection + "\r\n\r\n"
}

// answers reads every HTTP response in a client's output.
func answers(out []byte) ([]Answer, error) {
	var all []Answer
	in := bufio.NewReader(bytes.NewReader(out))
	for {
		answer, err := readAnswer(in)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, redact(out))
		}
		all = append(all, answer)
	}
}

// untold is the visits of a client that prints every response and does not say whether it resumed.
func untold(out []byte) ([]Visit, error) {
	all, err := answers(out)
	var visits []Visit
	for _, answer := range all {
		visits = append(visits, Visit{Answer: answer})
	}
	return visits, err
}

// only is the answer in the output of a client that made one connection.
func only(out []byte) (Answer, error) {
	all, err := answers(out)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d answers, want 1, in:\n%s", len(all), redact(out))
	}
	if err != nil {
		return Answer{}, err
	}
	return all[0], nil
}

// viewBy is the view of a client that prints a mark when it resumed.
func viewBy(out []byte, mark string) View {
	if bytes.Contains(out, []byte(mark)) {
		return Resumed
	}
	return Full
}

// readAnswer skips what a client says until an HTTP response begins, in the middle of a line too, and decodes that. The
// error is io.EOF where none does.
func readAnswer(in *bufio.Reader) (Answer, error) {
	const start = "HTTP/1.1 "
	for {
		if head, _ := in.Peek(len(start)); string(head) == start {
			return decodeAnswer(in)
		}
		if _, err := in.Discard(1); err != nil {
			return Answer{}, io.EOF
		}
	}
}

func decodeAnswer(in *bufio.Reader) (Answer, error) {
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	if response.StatusCode != http.StatusOK {
		return Answer{}, fmt.Errorf("HTTP status %s", response.Status)
	}
	answer := Answer{Body: body}
	err = json.Unmarshal(body, &answer)
	return answer, err
}
