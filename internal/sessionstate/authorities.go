package sessionstate

import (
	"crypto/x509"
	"sync"
)

// maxAuthorities bounds the certificates that are kept parsed. A server trusts
// few; when there are more, they are parsed anew now and then.
const maxAuthorities = 256

// Authorities keeps the roots and intermediates of verified chains parsed: many
// sessions share few of them, and parsing is most of what a chain costs. The zero
// Authorities is empty and ready; it is safe for concurrent use.
type Authorities struct {
	mu    sync.RWMutex
	certs map[string]*x509.Certificate // by DER
}

func (a *Authorities) parse(der []byte) (*x509.Certificate, error) {
	a.mu.RLock()
	cert, ok := a.certs[string(der)]
	a.mu.RUnlock()
	if ok {
		return cert, nil
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.certs == nil || len(a.certs) >= maxAuthorities {
		a.certs = make(map[string]*x509.Certificate)
	}
	a.certs[string(der)] = cert
	return cert, nil
}
