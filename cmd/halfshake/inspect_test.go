package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/internal/testsecrets"
	"github.com/halfshake/halfshake/sslsession"
)

// writeSession writes a new session to NAME.der, and as Halfshake's record to NAME.record.
func writeSession(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: session NAME")
	}
	ssl := &sslsession.Session{
		Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, ID: make([]byte, 32), MasterKey: make([]byte, 48),
		Time: time.Now().Unix(), Timeout: 300, Flags: sslsession.FlagExtendedMasterSecret, Group: uint32(tls.X25519),
		ServerName: []byte("a.example"), ALPN: []byte("h2"), TicketData: []byte("note"),
	}
	rand.Read(ssl.ID)
	rand.Read(ssl.MasterKey)
	testsecrets.Record(ssl.ID, ssl.MasterKey)
	der, err := ssl.Marshal()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".der"), der, 0o600))

	cache, err := halfshake.New(halfshake.Config{Scope: "test"})
	ts.Check(err)
	defer cache.Close()
	server := &tls.Config{Certificates: []tls.Certificate{testca.Root("authority", testca.ECDSA).Server("a.example")}}
	own, err := cache.Import(ssl, halfshake.Exchange{Config: server, ServerName: "a.example"})
	ts.Check(err)
	record, err := own.MarshalBinary()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".record"), record, 0o600))
}

// hides checks that the last command has shown no secret of OpenSSL's session files.
func hides(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: hides FILE…")
	}
	said := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	for _, name := range args {
		data := []byte(ts.ReadFile(name))
		sessions, err := sslsession.ParsePEM(data)
		if !bytes.HasPrefix(data, []byte("-")) {
			var s *sslsession.Session
			s, err = sslsession.Parse(data)
			sessions = []*sslsession.Session{s}
		}
		ts.Check(err)
		for _, s := range sessions {
			for _, secret := range [][]byte{s.ID, s.MasterKey, s.Ticket} {
				testsecrets.Record(secret)
				if len(secret) > 0 && shows(said, secret[:8]) {
					ts.Fatalf("a secret of %s was shown", name)
				}
			}
		}
	}
}

// shows reports whether text has a secret in one of its usual forms.
func shows(text string, secret []byte) bool {
	return strings.Contains(text, string(secret)) || strings.Contains(strings.ToLower(text), hex.EncodeToString(secret)) ||
		strings.Contains(text, base64.RawStdEncoding.EncodeToString(secret)[:8])
}
