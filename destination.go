package halfshake

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net"
	"slices"
	"strings"
)

// A destination is what a client's session belongs to: a server, as one configuration of
// the client sees it. A session is offered only to the destination that it was made for.
type destination struct {
	policy            // of the client's configuration
	serverName string // that the server's certificate is verified for
	scope      [sha256.Size]byte
}

// destinationOf returns the destination of a configuration, or an error if nothing could
// be resumed under it, or nothing could be resumed safely.
func (c *Cache) destinationOf(base *tls.Config, addr string, by engineOfClient) (*destination, error) {
	if err := c.checkClientConfig(base); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" || host == "" && base.ServerName == "" {
		return nil, fmt.Errorf("halfshake: the address %q is not host:port; pass the one that the client dials, such as example.com:443", addr)
	}
	d := &destination{policy: c.trustOf(base), serverName: base.ServerName}
	if d.serverName == "" {
		d.serverName = host
	}
	switch {
	case d.failed:
		return nil, errors.New("halfshake: Config.TrustID panicked for the tls.Config; it must name the trust of every configuration")
	case base.GetClientCertificate != nil && d.trustID == "":
		return nil, errors.New("halfshake: the tls.Config has GetClientCertificate set, so it is unknown which certificate it will present; set Config.TrustID to name the client's identity, or use Certificates")
	}
	d.scope = d.clientDigest(net.JoinHostPort(host, port), by)
	return d, nil
}

// An engineOfClient is how a client resumes. The sessions of one engine are of no use to
// the other, so each has its own.
type engineOfClient string

const (
	byTicket    engineOfClient = "ticket"     // crypto/tls
	bySessionID engineOfClient = "session id" // package tls12
)

// checkClientConfig returns an error if nothing can resume under a client's configuration.
func (c *Cache) checkClientConfig(base *tls.Config) error {
	switch mode := c.cfg.Mode; { // not the mode in force, which SetMode may change at any time
	case base == nil:
		return errors.New("halfshake: the tls.Config is nil; pass the client's own, or an empty one")
	case mode&(ModeClient|ModeOff) == 0:
		return fmt.Errorf("halfshake: Config.Mode is %v, which caches nothing for a client; set ModeClient or ModeBoth", mode)
	case base.SessionTicketsDisabled:
		return errors.New("halfshake: nothing can resume while SessionTicketsDisabled is set; clear it")
	case base.ClientSessionCache != nil && c.selected(base) == nil:
		return errors.New("halfshake: the tls.Config already has ClientSessionCache set; pass one without it, or with what Offer of this Cache returned: the Cache sets its own")
	case base.Renegotiation != tls.RenegotiateNever:
		return errors.New("halfshake: the tls.Config allows renegotiation, which changes whose session it is; set RenegotiateNever")
	case base.MaxVersion != 0 && base.MaxVersion < tls.VersionTLS12:
		return fmt.Errorf("halfshake: MaxVersion is %s, and no session below TLS 1.2 is cached; raise it", tls.VersionName(base.MaxVersion))
	}
	return nil
}

// clientDigest identifies what a client's session may be offered under. As in digest, the
// parts are hashed with their lengths, and the ScopeID comes first. Everything is in it
// that a server, or somebody between, could confuse, and that makes one connection more
// trusted than another: the server's name and address, who the client is, and how it
// verifies. curl CVE-2016-5419 and CVE-2021-22890, haproxy/haproxy#3195, Xor-el/TlsLib4Pascal#34.
func (d *destination) clientDigest(addr string, by engineOfClient) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write([]byte("halfshake client scope 1"))
	for _, part := range [...]string{d.policy.scope, d.trustID, lowerASCII(d.serverName), lowerASCII(addr), string(by)} {
		addPart(h, part)
	}
	addRoots(h, d.config)
	for _, cert := range d.config.Certificates {
		addPart(h, "certificate")
		for _, der := range cert.Certificate {
			addPart(h, string(der))
		}
	}
	if d.config.EncryptedClientHelloConfigList != nil { // a ticket must not show who the encrypted name was
		addPart(h, "encrypted ClientHello")
	}
	h.Sum(sum[:0])
	copy(sum[:], d.scopeID[:])
	return sum
}

// addRoots hashes what a configuration verifies servers against. Of a pool only the
// subjects can be seen. So the digest keeps two root sets apart unless they have the same
// names, and whether a chain ends in a root of today's is asked besides. The system's roots
// are one set, whatever they are.
func addRoots(h hash.Hash, config *tls.Config) {
	switch {
	case config.InsecureSkipVerify:
		addPart(h, "unverified")
	case config.RootCAs == nil:
		addPart(h, "system roots")
	default:
		subjects := subjectsOf(config.RootCAs)
		slices.Sort(subjects)
		addPart(h, strings.Join(append(subjects, "roots"), ""))
	}
}

func subjectsOf(pool *x509.CertPool) (subjects []string) {
	//lint:ignore SA1019 what the system adds to a pool is missing, and the chain is checked besides
	for _, subject := range pool.Subjects() {
		subjects = append(subjects, string(subject)) // DER, which has its length in it
	}
	return subjects
}

func addPart(h hash.Hash, part string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(part)))
	h.Write(length[:])
	h.Write([]byte(part))
}

// permitsVersion reports whether the client's configuration offers a version.
func (d *destination) permitsVersion(version uint16) bool {
	low, high := max(d.config.MinVersion, tls.VersionTLS12), d.config.MaxVersion
	if high == 0 {
		high = tls.VersionTLS13
	}
	if d.config.EncryptedClientHelloConfigList != nil {
		low = tls.VersionTLS13
	}
	return low <= version && version <= high
}
