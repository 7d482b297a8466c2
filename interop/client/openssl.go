package client

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// OpenSSL drives "openssl s_client". It runs it twice, and passes the session in a file.
var OpenSSL = Driver{Name: "openssl s_client", Binary: "openssl", Package: "openssl", visit: visitOpenSSL}

func visitOpenSSL(ctx context.Context, target Target) ([]Visit, error) {
	session := filepath.Join(target.Dir, "session.pem")
	first, err := connectOpenSSL(ctx, target, session)
	if err != nil {
		return nil, err
	}
	target.between()
	var offer []string
	if first.Secrets != nil { // nil if the server gave no session
		offer = []string{"-sess_in", session}
	}
	second, err := connectOpenSSL(ctx, target, session, offer...)
	return []Visit{first, second}, err
}

// connectOpenSSL makes one connection. If it gets a session, it writes that to the file named session.
func connectOpenSSL(ctx context.Context, target Target, session string, offer ...string) (Visit, error) {
	args := append([]string{
		"s_client", "-connect", net.JoinHostPort(target.Host, target.Port), "-servername", target.ServerName,
		"-alpn", "http/1.1", "-CAfile", target.Roots, "-verify_hostname", target.ServerName, "-verify_return_error",
		"-tls" + strings.ReplaceAll(target.Version, ".", "_"), "-ign_eof", "-sess_out", session,
	}, offer...)
	if target.NoTickets {
		args = append(args, "-no_ticket")
	}
	if target.Key != "" {
		args = append(args, "-cert", target.Chain, "-cert_chain", target.Intermediate, "-key", target.Key)
	}
	cmd := command(ctx, target, "openssl", args...)
	cmd.Stdin = strings.NewReader(request(target, "close"))
	out, err := output(cmd)
	if err != nil {
		return Visit{}, err
	}
	answer, err := only(out)
	if err != nil {
		return Visit{}, err
	}
	secrets, err := pemSecrets(session)
	return Visit{answer, viewBy(out, "\nReused, "), secrets}, err
}

// pemSecrets returns the secrets in the session file. Without a file, it returns none.
func pemSecrets(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", file)
	}
	return secretsOf(block.Bytes)
}
