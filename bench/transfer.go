package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// transferSize is how many bytes go over a connection in a run.
	transferSize = 32 << 20
	// transferSuite is the one that Go's servers choose first in TLS 1.2, on a
	// machine with instructions for AES.
	transferSuite = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
)

// compareTransfer measures bulk transfer by crypto/tls and by package tls12, with
// the same suite and the same client, crypto/tls's.
func compareTransfer(dir string, e extent) error {
	config := newConfig(tls.VersionTLS12, nil)
	config.CipherSuites = []uint16{transferSuite}
	for _, direction := range []struct {
		name string
		move func(*tls.Conn) error
	}{{"from the server", download}, {"to the server", upload}} {
		title := fmt.Sprintf("bulk transfer %s, TLS 1.2, %s", direction.name, tls.CipherSuiteName(transferSuite))
		results := make([]rated, len(transferKinds))
		for run := range e.runs {
			if err := transferRun(dir, config, direction.move, run, results); err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
		}
		reportRates(title, "MiB/s", "MiB", []string{"crypto/tls", "tls12"}, results)
	}
	return nil
}

var transferKinds = []string{ticketKind, idKind}

// transferRun starts servers, and adds a run of each to the results, after one that does
// not count; each time it begins with another one.
func transferRun(dir string, config *tls.Config, move func(*tls.Conn) error, run int, results []rated) (err error) {
	children, stop, err := startAll(transferKinds, dir)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	for i := range children {
		i = (i + run) % len(children)
		if _, _, err := measureTransfer(children[i], config, move); err != nil {
			return err
		}
		rate, perOp, err := measureTransfer(children[i], config, move)
		if err != nil {
			return err
		}
		results[i].rate, results[i].perOp = append(results[i].rate, rate), append(results[i].perOp, perOp)
	}
	return nil
}

// measureTransfer returns how many MiB went in a second, and the server's CPU time
// for each, in nanoseconds.
func measureTransfer(c *child, config *tls.Config, move func(*tls.Conn) error) (rate, perOp float64, err error) {
	raw, err := dial(c.addr)
	if err != nil {
		return 0, 0, err
	}
	conn := tls.Client(raw, config)
	defer conn.Close()
	if err := readByte(conn); err != nil {
		return 0, 0, err
	}
	var took time.Duration
	spent, err := c.spends(func() error {
		begun := time.Now()
		defer func() { took = time.Since(begun) }()
		return move(conn)
	})
	const mib = float64(transferSize) / (1 << 20)
	return mib / took.Seconds(), float64(spent.cpu) / mib, err
}

// download has the server send, and counts what comes.
func download(conn *tls.Conn) error {
	if err := binary.Write(conn, binary.BigEndian, uint64(transferSize)); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, transferSize)
	return err
}

// upload ends when the server has read all and closed the connection.
func upload(conn *tls.Conn) error {
	if err := binary.Write(conn, binary.BigEndian, uint64(0)); err != nil {
		return err
	}
	if err := errors.Join(send(conn, transferSize), conn.CloseWrite()); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	return err
}
