package client

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"
)

// WolfSSL drives a program of this package that uses Debian's wolfSSL and is compiled for each visit. The program does not
// call wolfSSL_UseSessionTicket, so it takes no tickets in TLS 1.2.
var WolfSSL = Driver{
	Name: "wolfssl", Binary: "gcc", File: "/usr/include/wolfssl/ssl.h", Package: "libwolfssl-dev, with gcc",
	Ticketless: true, visit: visitWolfSSL,
}

//go:embed testdata/wolfssl_client.c
var wolfsslSource []byte

const wolfsslResumed = "wolfSSL: resumed\n"

func visitWolfSSL(ctx context.Context, target Target) ([]Visit, error) {
	source, program := filepath.Join(target.Dir, "client.c"), filepath.Join(target.Dir, "client")
	if err := os.WriteFile(source, wolfsslSource, 0o600); err != nil {
		return nil, err
	}
	if _, err := output(command(ctx, target, "gcc", "-o", program, source, "-lwolfssl")); err != nil {
		return nil, err
	}
	out, err := outputAround(command(ctx, target, program, target.Host, target.Port, target.ServerName, target.Version,
		request(target, "close"), target.Roots, pauseLine), target)
	if err != nil {
		return nil, err
	}
	before, after, found := bytes.Cut(out, []byte(pauseLine))
	if !found {
		return nil, errors.New("it did not wait between its connections")
	}
	var visits []Visit
	for _, part := range [][]byte{before, after} {
		answer, err := only(part)
		if err != nil {
			return nil, err
		}
		visits = append(visits, Visit{Answer: answer, View: viewBy(part, wolfsslResumed)})
	}
	return visits, nil
}
