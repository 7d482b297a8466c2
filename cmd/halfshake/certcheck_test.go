package main

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
)

// TestCertificateWarnings: what clients refuse is named, and what they accept is not.
func TestCertificateWarnings(t *testing.T) {
	day, now := 24*time.Hour, time.Now()
	for name, c := range map[string]struct {
		change func(*x509.Certificate)
		want   []string // a part of each
	}{
		"good":               {func(*x509.Certificate) {}, nil},
		"for an address":     {func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, c.IPAddresses[:1] }, nil},
		"no usages at all":   {func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = 0, nil }, nil},
		"for anything":       {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }, nil},
		"expired":            {func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, []string{"it has expired"}},
		"not valid yet":      {func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }, []string{"not valid yet"}},
		"13 days of a year":  {func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-350*day), now.Add(13*day) }, []string{"expires soon"}},
		"15 days of a year":  {func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-350*day), now.Add(15*day) }, nil},
		"15 hours of 6 days": {func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-129*time.Hour), now.Add(15*time.Hour) }, nil},
		"13 hours of 6 days": {func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-131*time.Hour), now.Add(13*time.Hour) }, []string{"expires soon"}},
		"a common name only": {func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }, []string{"it names no host"}},
		"for clients":        {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, []string{"not for servers"}},
		"may not sign":       {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, []string{"does not let it sign"}},
		"all of it": {func(c *x509.Certificate) {
			c.NotAfter, c.DNSNames, c.IPAddresses, c.ExtKeyUsage, c.KeyUsage = now.Add(-1), nil, nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, x509.KeyUsageCertSign
		}, []string{"it has expired", "it names no host", "not for servers", "does not let it sign"}},
	} {
		leaf := *testca.Root("check", testca.ECDSA).Server().Leaf
		c.change(&leaf)
		got := certificateWarnings(tls.Certificate{Certificate: [][]byte{leaf.Raw}, Leaf: &leaf}, now)
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestExpiredIntermediate: a chain is as good as its worst certificate.
func TestExpiredIntermediate(t *testing.T) {
	pair := testca.Root("root", testca.ECDSA).Intermediate("sub").Server()
	if got := certificateWarnings(pair, time.Now()); len(got) > 0 {
		t.Errorf("a good chain: %q", got)
	}
	pair.Certificate[1] = testca.SelfSigned("old", time.Now().Add(-time.Hour)).Certificate[0]
	if got := certificateWarnings(pair, time.Now()); len(got) != 1 || !strings.Contains(got[0], "another one in its chain has expired") {
		t.Errorf("%q", got)
	}
}
