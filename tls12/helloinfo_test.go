package tls12

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHelloInfo checks that HelloInfo says the same of a ClientHello as crypto/tls, for
// intact and damaged ones. It may accept one that crypto/tls refuses only if the damage
// is in an extension that this engine ignores.
func TestHelloInfo(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	whole, damaged := 0, 0
	for range 300 {
		raw := drawHello(t, r)
		ours, theirs := HelloInfo(raw), theirInfo(t, raw)
		if ours == nil || theirs == nil || !sameInfo(ours, theirs) {
			t.Fatalf("seed %d: %x\nours   %+v\ntheirs %+v", seed, raw, ours, theirs)
		}
		whole++
		for range 20 {
			raw := slices.Clone(raw)
			raw[messageHeaderLen+r.IntN(len(raw)-messageHeaderLen)] ^= 1 << r.IntN(8)
			ours, theirs := HelloInfo(raw), theirInfo(t, raw)
			switch {
			case ours == nil && theirs == nil:
				continue
			case ours == nil || theirs == nil && theirInfo(t, withoutIgnored(t, raw)) == nil:
				t.Fatalf("seed %d: %x\nours   %v\ntheirs %v", seed, raw, ours, theirs)
			case theirs == nil:
				continue
			}
			if !sameInfo(ours, theirs) {
				t.Fatalf("seed %d: %x\nours   %+v\ntheirs %+v", seed, raw, ours, theirs)
			}
			damaged++
		}
		for _, short := range [][]byte{nil, raw[:1], raw[:messageHeaderLen], raw[:r.IntN(len(raw))], append(raw, 0)} {
			if info := HelloInfo(short); info != nil {
				t.Fatalf("seed %d: %x\n%+v", seed, short, info)
			}
		}
	}
	malformed := clientHelloMsg{version: versionTLS12, random: make([]byte, randomLen), suites: []uint16{1}, compressions: []byte{0}}
	malformed.extensions.add(extPointFormats, addBytes([]byte{2, 0}))
	if raw, err := encodeMessage(&malformed); err != nil || HelloInfo(raw) != nil {
		t.Errorf("an extension that ends early: %v, %v", HelloInfo(raw), err)
	}
	if whole < 300 || damaged < 300 {
		t.Errorf("only %d whole and %d damaged messages were compared", whole, damaged)
	}
}

// withoutIgnored returns the ClientHello without the extensions that this engine ignores.
func withoutIgnored(t *testing.T, raw []byte) []byte {
	t.Helper()
	var msg clientHelloMsg
	if !parseMessage(&msg, raw) {
		t.Fatalf("%x", raw)
	}
	known := []extensionType{
		extServerName, extStatusRequest, extSupportedGroups, extPointFormats, extSignatureAlgorithms, extALPN, extSCT,
		extExtendedMasterSecret, extSessionTicket, extSupportedVersions, extRenegotiationInfo,
	}
	msg.extensions.list = slices.DeleteFunc(msg.extensions.list, func(one extension) bool { return !slices.Contains(known, one.kind) })
	raw, err := encodeMessage(&msg)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sameInfo compares the content of the lists: a nil list equals an empty one.
func sameInfo(a, b *tls.ClientHelloInfo) bool { return fmt.Sprint(*a) == fmt.Sprint(*b) }

// drawHello returns a random ClientHello of crypto/tls.
func drawHello(t *testing.T, r *rand.Rand) []byte {
	t.Helper()
	config := &tls.Config{
		ServerName:             pick(r, []string{"localhost", "127.0.0.1", "a.test"}),
		CipherSuites:           some(r, allowedSuites(&tls.Config{}), 6),
		CurvePreferences:       pick(r, [][]tls.CurveID{nil, some(r, groups, 3)}),
		NextProtos:             pick(r, [][]string{nil, some(r, []string{"h2", "http/1.1", "x"}, 3)}),
		MinVersion:             tls.VersionTLS10,
		MaxVersion:             pick(r, []uint16{0, tls.VersionTLS12, tls.VersionTLS13}),
		SessionTicketsDisabled: r.IntN(2) == 0,
	}
	var hello firstRecord
	_ = tls.Client(&hello, config).Handshake() // fails, because nobody answers
	raw, ok := hello.message()
	if !ok {
		t.Fatalf("no ClientHello under %+v", config)
	}
	if r.IntN(2) == 0 { // as from older clients
		var msg clientHelloMsg
		if !parseMessage(&msg, raw) {
			t.Fatalf("%x", raw)
		}
		msg.extensions.list = slices.DeleteFunc(msg.extensions.list, func(one extension) bool { return one.kind == extSupportedVersions })
		msg.version = pick(r, []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13, 0x0305})
		var err error
		if raw, err = encodeMessage(&msg); err != nil {
			t.Fatal(err)
		}
	}
	return raw
}

// theirInfo returns what crypto/tls says, without the fields that HelloInfo leaves out, or
// nil if crypto/tls refuses the message.
func theirInfo(t *testing.T, raw []byte) (seen *tls.ClientHelloInfo) {
	config := &tls.Config{GetConfigForClient: func(info *tls.ClientHelloInfo) (*tls.Config, error) {
		seen = &tls.ClientHelloInfo{
			CipherSuites: info.CipherSuites, ServerName: info.ServerName, SupportedCurves: info.SupportedCurves,
			SupportedPoints: info.SupportedPoints, SignatureSchemes: info.SignatureSchemes, SupportedProtos: info.SupportedProtos,
			SupportedVersions: info.SupportedVersions, Extensions: info.Extensions,
		}
		return nil, errSeen
	}}
	if err := tls.Server(replay(raw), config).HandshakeContext(context.Background()); seen != nil && !errors.Is(err, errSeen) {
		t.Error(err)
	}
	return seen
}
