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

// OpenSSL is "openssl s_client", run twice with a session file between.
var OpenSSL = Driver{Name: "openssl s_client", Binary: "openssl", Package: "openssl", visit: visitOpenSSL}

func visitOpenSSL(ctx context.Context, target Target) ([]Visit, error) {
	session := filepath.Join(target.Dir, "session.pem")
	first, err := connectOpenSSL(ctx, target, session)
	if err != nil {
		return nil, err
	}
	target.between()
	var offer []string
	if first.Secrets != nil { // nil where the server gave nothing to resume
		offer = []string{"-sess_in", session}
	}
	second, err := connectOpenSSL(ctx, target, session, offer...)
	return []Visit{first, second}, err
}

// connectOpenSSL makes one connection and leaves its session, where it gets one, in the file named session.
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

// pemSecrets reads the session file. Without one, there are no secrets.
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
