// Package client drives TLS clients other than Go's. Each client has a driver in its own file. A driver makes a connection,
// and then a second one that offers the session of the first. It requests /connection.json on both.
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
	Package string // the Debian package that contains them

	// Ticketless means that the client does not offer to take a ticket in TLS 1.2.
	Ticketless bool
	// NeedsID means that in TLS 1.2 the client offers a ticket only if the server gave it a session id in the full
	// handshake. crypto/tls never does.
	NeedsID bool

	visit func(context.Context, Target) ([]Visit, error)
}

// Target says where a client connects and how it identifies itself.
type Target struct {
	Host, Port string // the server's
	ServerName string // to ask for and to verify
	Roots      string // PEM file of the roots to trust
	Version    string // the only protocol version to offer: "1.2" or "1.3"

	// The client's certificate, as PEM files. All are empty if it has none.
	Chain, Intermediate, Key string

	Dir string // an empty directory for the client's own files

	// NoTickets keeps the client from offering to take a ticket in TLS 1.2. Curl and WolfSSL never do.
	NoTickets bool
	// Between, if not nil, is called between the two connections. The second begins after it returns. Curl and GnuTLSFlag
	// cannot wait, and never call it.
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

	Body []byte `json:"-"` // the answer as received
}

// View is what a client reports about its handshake.
type View string

// The views that a client can have. Untold means that the client does not report one.
const (
	Untold  View = ""
	Full    View = "full"
	Resumed View = "resumed"
)

// Visit is one connection, as seen by the server and by the client.
type Visit struct {
	Answer
	View View

	// Secrets are the ids and secrets of the client's session, if the client shows them. Nothing may print them.
	Secrets [][]byte
}

// Visit makes the two connections. If the client fails, the error has all of its output.
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

// command returns a client without this process's environment, and so without proxies or the user's settings.
func command(ctx context.Context, target Target, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + target.Dir, "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	return cmd
}

// output runs a client until it exits, and returns what it printed on stdout.
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

// printedSession matches what openssl and gnutls-cli print of a session. openssl's has secrets in several forms.
var printedSession = regexp.MustCompile(`(?s:SSL-Session:.*)|Session ID:.*`)

// redact removes the sessions from a client's output.
func redact(out []byte) []byte { return printedSession.ReplaceAll(out, []byte("(a session)")) }

// request returns the HTTP request for /connection.json. connection is the value of its Connection header.
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

// untold returns the visits of a client that prints every response but does not say whether it resumed.
func untold(out []byte) ([]Visit, error) {
	all, err := answers(out)
	var visits []Visit
	for _, answer := range all {
		visits = append(visits, Visit{Answer: answer})
	}
	return visits, err
}

// only returns the answer in the output of a client that made one connection.
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

// viewBy returns the view of a client that prints a mark if it resumed.
func viewBy(out []byte, mark string) View {
	if bytes.Contains(out, []byte(mark)) {
		return Resumed
	}
	return Full
}

// readAnswer skips a client's output until an HTTP response begins, even in the middle of a line, and decodes the response.
// The error is io.EOF if there is no response.
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
