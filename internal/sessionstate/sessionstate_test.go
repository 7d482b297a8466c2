package sessionstate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// made runs a full handshake over loopback and returns the bytes that crypto/tls
// hands to WrapSession beside what it says of the connection.
func made(t testing.TB, version uint16, clientCert bool) (state []byte, cs tls.ConnectionState) {
	t.Helper()
	ca := testca.Root("root", testca.ECDSA)
	inter := ca.Intermediate("intermediate")
	server := &tls.Config{
		Certificates: []tls.Certificate{ca.Server()},
		WrapSession: func(at tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			ss.Extra = append(ss.Extra, []byte("another layer"))
			state, _ = ss.Bytes()
			cs = at
			return []byte("ticket"), nil
		},
	}
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	if clientCert {
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
		client.Certificates = []tls.Certificate{inter.Client("alice", time.Now().Add(time.Hour))}
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.(*tls.Conn).Handshake()
			defer conn.Close()
		}
		done <- err
	}()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", l.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return state, cs
}

// The layout is crypto/tls's own affair: this test says, on each release of Go,
// whether what is read here is what the connection says of itself.
func TestParseAgreesWithTheConnection(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, clientCert := range []bool{false, true} {
			data, cs := made(t, version, clientCert)
			st, err := Parse(data)
			if err != nil {
				t.Fatalf("%s: %v; compare this package with type SessionState in crypto/tls/ticket.go", tls.VersionName(version), err)
			}
			secret := map[uint16]int{tls.VersionTLS12: 48, tls.VersionTLS13: 32}[version]
			if cs.CipherSuite == tls.TLS_AES_256_GCM_SHA384 {
				secret = 48
			}
			if st.Version != version || st.CipherSuite != cs.CipherSuite || len(st.Secret) != secret || bytes.Count(st.Secret, []byte{0}) > secret/2 ||
				(version == tls.VersionTLS12 && !st.ExtendedMasterSecret) || st.EarlyData ||
				time.Since(time.Unix(int64(st.CreatedAt), 0)).Abs() > time.Minute {
				t.Errorf("%s: %+v", tls.VersionName(version), st)
			}
			peer, err := st.PeerCertificates()
			if err != nil || len(peer) != len(cs.PeerCertificates) || clientCert != (len(peer) == 2) {
				t.Fatalf("%d certificates, want %d: %v", len(peer), len(cs.PeerCertificates), err)
			}
			for i := range peer {
				if !peer[i].Equal(cs.PeerCertificates[i]) {
					t.Errorf("certificate %d differs", i)
				}
			}
			if clientCert {
				compareChains(t, st, cs)
			}
		}
	}
}

func compareChains(t *testing.T, st *State, cs tls.ConnectionState) {
	t.Helper()
	chains, err := st.VerifiedChains(cs.PeerCertificates[0], new(Authorities))
	if err != nil || len(chains) != len(cs.VerifiedChains) {
		t.Fatalf("%d chains, want %d: %v", len(chains), len(cs.VerifiedChains), err)
	}
	for i, chain := range chains {
		if len(chain) != 3 || len(chain) != len(cs.VerifiedChains[i]) {
			t.Fatalf("chain %d has %d certificates", i, len(chain))
		}
		for j, cert := range chain {
			if !cert.Equal(cs.VerifiedChains[i][j]) {
				t.Errorf("chain %d, certificate %d differs", i, j)
			}
		}
	}
}

// A prefix, a trailing byte, a client's session, a flag that is neither: not a
// session. Resumable takes away early data.
func TestParseIsStrict(t *testing.T) {
	data, _ := made(t, tls.VersionTLS13, true)
	for i := range data {
		if _, err := Parse(data[:i]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("the first %d bytes: %v", i, err)
		}
	}
	if _, err := Parse(append(bytes.Clone(data), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a trailing byte: %v", err)
	}
	ofClient := bytes.Clone(data)
	ofClient[2] = 2
	if _, err := Parse(ofClient); !errors.Is(err, ErrMalformed) {
		t.Errorf("a client's session: %v", err)
	}
	// The length of the layer's own bytes is the last of the three that come before them.
	layer := bytes.Clone(data)
	layer[bytes.Index(data, []byte("another layer"))-1]++
	if _, err := Parse(layer); !errors.Is(err, ErrMalformed) {
		t.Errorf("another layer's bytes, cut off: %v", err)
	}
	for _, extensions := range []string{
		"\x00", "\x00\x05", "\x00\x63\x00\x01", // cut off
		"\x00\x05\x00\x00", "\x00\x05\x00\x05\x02\x00\x00\x01x", "\x00\x05\x00\x04\x01\x00\x00\x00", "\x00\x05\x00\x06\x01\x00\x00\x01xx", // no staple
		"\x00\x12\x00\x00", "\x00\x12\x00\x02\x00\x00", "\x00\x12\x00\x04\x00\x02\x00\x00", "\x00\x12\x00\x06\x00\x03\x00\x01xx", // no SCTs
	} {
		checkExtensions(t, data, extensions, false)
	}
	for _, extensions := range []string{"", "\x00\x63\x00\x01x", "\x00\x05\x00\x05\x01\x00\x00\x01x", "\x00\x12\x00\x05\x00\x03\x00\x01x"} {
		checkExtensions(t, data, extensions, true)
	}
	noSecret := append(bytes.Clone(data[:13]), 0)
	noSecret = append(noSecret, data[14+int(data[13]):]...)
	if _, err := Parse(noSecret); !errors.Is(err, ErrMalformed) {
		t.Errorf("no secret (CVE-2026-34873): %v", err)
	}
}

// checkExtensions gives the leaf of a session extensions, and holds that Parse and
// crypto/tls agree on whether it is one.
func checkExtensions(t *testing.T, data []byte, extensions string, want bool) {
	t.Helper()
	st, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	leaf := st.Certificates[0]
	at := bytes.Index(data, leaf) + len(leaf) // of the two bytes of their length, which are 0
	with := slices.Concat(data[:at], []byte{0, byte(len(extensions))}, []byte(extensions), data[at+2:])
	list := bytes.Index(data, leaf) - 6 // the length of the list, and of the leaf
	length := int(with[list])<<16 + int(with[list+1])<<8 + int(with[list+2]) + len(extensions)
	with[list], with[list+1], with[list+2] = byte(length>>16), byte(length>>8), byte(length)
	_, err = Parse(with)
	_, theirs := tls.ParseSessionState(with)
	if (err == nil) != want || (theirs == nil) != want {
		t.Errorf("extensions %q: %v, and crypto/tls says %v; want %v", extensions, err, theirs, want)
	}
}

func TestResumableHasNoEarlyData(t *testing.T) {
	data, _ := made(t, tls.VersionTLS13, false)
	ss, err := tls.ParseSessionState(data)
	if err != nil {
		t.Fatal(err)
	}
	ss.EarlyData = true
	early, err := ss.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if st, err := Parse(early); err != nil || !st.EarlyData {
		t.Fatalf("a session with early data: %v", err)
	}
	if ss, err := Resumable(early, false); err != nil || ss.EarlyData {
		t.Errorf("early data is still on, or %v", err)
	}
	if _, err := Resumable(early[:20], false); err == nil {
		t.Error("half a session is resumable")
	}
}

// FuzzParse: what Parse takes, crypto/tls takes too, but for certificates that
// do not parse; and nothing panics.
func FuzzParse(f *testing.F) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, clientCert := range []bool{false, true} {
			data, _ := made(f, version, clientCert)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := Parse(data)
		if err != nil {
			return
		}
		if AllowsEarlyData(data) != st.EarlyData {
			t.Fatal("AllowsEarlyData differs from Parse")
		}
		peer, err := st.PeerCertificates()
		if err == nil && len(peer) > 0 {
			compareValidity(t, st, peer[0])
			_, err = st.VerifiedChains(peer[0], new(Authorities))
		}
		if err != nil || len(st.Chains) > 0 && len(peer) == 0 {
			return
		}
		ss, err := Resumable(data, false)
		if err != nil {
			t.Fatalf("crypto/tls does not take it: %v", err)
		}
		if again, err := ss.Bytes(); err != nil || !st.EarlyData && len(again) > len(data) {
			t.Fatalf("re-encoding: %v", err)
		}
	})
}

func compareValidity(t *testing.T, st *State, leaf *x509.Certificate) {
	t.Helper()
	notBefore, notAfter, err := st.LeafValidity()
	if err != nil || !notBefore.Equal(leaf.NotBefore) || !notAfter.Equal(leaf.NotAfter) {
		t.Errorf("%v to %v, %v; crypto/x509 says %v to %v", notBefore, notAfter, err, leaf.NotBefore, leaf.NotAfter)
	}
}

// Authorities are parsed once, errors are not kept, and their number is bounded.
func TestAuthorities(t *testing.T) {
	var a Authorities
	first := testca.Root("first", testca.ECDSA).Cert
	got, err := a.parse(first.Raw)
	if again, _ := a.parse(bytes.Clone(first.Raw)); err != nil || !got.Equal(first) || again != got {
		t.Errorf("parsed twice, or %v", err)
	}
	if _, err := a.parse(first.Raw[1:]); err == nil || len(a.certs) != 1 {
		t.Errorf("garbage: %v; %d kept", err, len(a.certs))
	}
	for i := range maxAuthorities - 1 {
		a.certs[string(rune(i))] = got
	}
	if _, err := a.parse(testca.Root("one more", testca.ECDSA).Cert.Raw); err != nil || len(a.certs) > maxAuthorities {
		t.Errorf("%d kept: %v", len(a.certs), err)
	}
}

// What Build encodes is what crypto/tls itself would have written, and what it
// takes.
func TestBuildIsCryptoTLSsOwnEncoding(t *testing.T) {
	for _, clientCert := range []bool{false, true} {
		data, cs := made(t, tls.VersionTLS12, clientCert)
		ss, err := tls.ParseSessionState(data)
		if err != nil {
			t.Fatal(err)
		}
		ss.Extra = nil // is another layer's
		want, err := ss.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		st, err := Parse(want)
		if err != nil {
			t.Fatal(err)
		}
		if st.CurveID != cs.CurveID {
			t.Errorf("curve %v, want %v", st.CurveID, cs.CurveID)
		}
		got, err := Build(st)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("client certificate %v: %v; the encodings differ", clientCert, err)
		}
		if _, err := Resumable(got, false); err != nil {
			t.Errorf("crypto/tls does not take it: %v", err)
		}
	}
}
