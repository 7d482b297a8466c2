package validity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"
)

// The validity is the one that crypto/x509 reads, in both encodings of time; part
// of a certificate has none.
func TestOf(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	year := func(y int) time.Time { return time.Date(y, time.December, 31, 23, 59, 59, 0, time.UTC) }
	for _, years := range [][2]int{{1950, 1951}, {1999, 2049}, {2026, 2050}, {2050, 9999}} {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: year(years[0]), NotAfter: year(years[1])}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		notBefore, notAfter, ok := Of(der)
		if !ok || !notBefore.Equal(leaf.NotBefore) || !notAfter.Equal(leaf.NotAfter) {
			t.Errorf("%v to %v, %v; crypto/x509 says %v to %v", notBefore, notAfter, ok, leaf.NotBefore, leaf.NotAfter)
		}
		for i := range der {
			if _, notAfter, ok := Of(der[:i]); ok || !notAfter.IsZero() {
				t.Fatalf("the first %d bytes are valid until %v", i, notAfter)
			}
		}
	}
}
