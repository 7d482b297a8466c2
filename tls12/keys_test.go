package tls12

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"strings"
	"testing"
)

// TestPRF checks the vectors from the TLS working group's list
// (https://mailarchive.ietf.org/arch/msg/tls/fzVCzk-z3FShgGJ6DOXqM1ydxms).
func TestPRF(t *testing.T) {
	for _, test := range []struct {
		hash               crypto.Hash
		secret, seed, want string
	}{
		{crypto.SHA256, "9bbe436ba940f017b17652849a71db35", "a0ba9f936cda311827a6f796ffd5198c", `
			e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a
			6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab
			4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701
			87347b66`},
		{crypto.SHA384, "b80b733d6ceefcdc71566ea48e5567df", "cd665cf6a8447dd6ff8b27555edb7465", `
			7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cd
			e9ca0faa60be9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd
			8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425
			9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee6
			91c8f3a26854308d5eaa3be85e0990703d73e56f`},
	} {
		want := unhex(t, test.want)
		seed := unhex(t, test.seed)
		for cut := range len(seed) + 1 { // how the seed is split makes no difference
			got := make([]byte, len(want))
			newPRF(test.hash, unhex(t, test.secret)).fill(got, "test label", seed[:cut], seed[cut:])
			if !bytes.Equal(got, want) {
				t.Fatalf("%v, cut at %d: %x", test.hash, cut, got)
			}
		}
		p := newPRF(test.hash, unhex(t, test.secret))
		for length := 1; length <= len(want); length++ { // a prf can be reused
			got := make([]byte, length)
			p.fill(got, "test label", seed)
			if !bytes.Equal(got, want[:length]) {
				t.Fatalf("%v, %d bytes: %x", test.hash, length, got)
			}
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestProtections checks that each direction opens what the other seals, and nothing that
// was changed, moved or repeated.
func TestProtections(t *testing.T) {
	for _, s := range aesFirst {
		pair := func() (*protection, *protection) {
			var of [2]*protection
			for i := range of {
				k := newSecrets(s, bytes.Repeat([]byte{7}, masterSecretLen), make([]byte, randomLen), make([]byte, randomLen))
				client, _, err := k.protections(s)
				must(t, err)
				of[i] = client
			}
			return of[0], of[1]
		}
		sealer, opener := pair()
		var sealed [3][]byte
		for i := range sealed {
			var err error
			sealed[i], err = sealer.seal(nil, recordApplicationData, []byte{byte(i)})
			must(t, err)
			if want := 1 + sealer.overhead(); len(sealed[i]) != want {
				t.Errorf("%#x: a record of one byte has %d, want %d", s.id, len(sealed[i]), want)
			}
		}
		for i, one := range sealed {
			got, err := opener.open(recordApplicationData, bytes.Clone(one))
			if err != nil || !bytes.Equal(got, []byte{byte(i)}) {
				t.Errorf("%#x: record %d opens as %x, %v", s.id, i, got, err)
			}
		}
		for name, f := range map[string]func(*protection) error{
			"moved": func(p *protection) error { _, err := p.open(recordApplicationData, bytes.Clone(sealed[1])); return err },
			"twice": func(p *protection) error {
				p.open(recordApplicationData, bytes.Clone(sealed[0]))
				_, err := p.open(recordApplicationData, bytes.Clone(sealed[0]))
				return err
			},
			"of another type": func(p *protection) error { _, err := p.open(recordHandshake, bytes.Clone(sealed[0])); return err },
			"empty":           func(p *protection) error { _, err := p.open(recordApplicationData, nil); return err },
			"cut": func(p *protection) error {
				_, err := p.open(recordApplicationData, sealed[0][:len(sealed[0])-2])
				return err
			},
			"changed": func(p *protection) error {
				b := bytes.Clone(sealed[0])
				b[len(b)-1] ^= 1
				_, err := p.open(recordApplicationData, b)
				return err
			},
		} {
			_, opener := pair()
			if f(opener) == nil {
				t.Errorf("%#x: a record that is %s opens", s.id, name)
			}
		}
		sealer.seq, opener.seq = 1<<64-1, 1<<64-1
		if _, err := sealer.seal(nil, recordApplicationData, nil); err == nil {
			t.Error("a sequence number wraps")
		}
		if _, err := opener.open(recordApplicationData, bytes.Clone(sealed[0])); err == nil {
			t.Error("a sequence number wraps")
		}
	}
}
