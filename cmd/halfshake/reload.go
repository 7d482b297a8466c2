package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// tlsFiles are the certificates that the flags name, as of the last time they were read
// without error. A connection uses those in force when it begins.
type tlsFiles struct {
	flags *serveFlags
	log   *slog.Logger

	// pools has one pool for each content that the --client-ca file has had, by its
	// digest. It belongs to the goroutine that calls load.
	pools map[string]*x509.CertPool

	// Read by handshakes.
	current atomic.Pointer[tls.Config]
	digests sync.Map // from a pool to its digest
}

func newTLSFiles(f *serveFlags, log *slog.Logger) (*tlsFiles, error) {
	t := &tlsFiles{flags: f, log: log, pools: map[string]*x509.CertPool{}}
	return t, t.load()
}

// load puts the files in force: all of them, or none.
func (t *tlsFiles) load() error {
	config := &tls.Config{NextProtos: t.flags.protocols()}
	if t.flags.ClientCA != "" {
		ca, err := loadClientCA(t.flags.ClientCA)
		if err != nil {
			return err
		}
		config.ClientCAs, config.ClientAuth = t.known(ca), t.clientAuth()
	}
	cert, err := t.loadCertificate() // last: it may make one
	if err != nil {
		return err
	}
	config.Certificates = []tls.Certificate{cert}
	t.current.Store(config)
	return nil
}

// reload is load for a running server.
func (t *tlsFiles) reload() {
	if err := t.load(); err != nil {
		t.log.Error("reload failed; the old certificates stay in force", "error", err)
		return
	}
	t.report("reloaded the certificates")
}

// report logs which certificates are in force, and what is wrong with the server's. It
// logs the scope because sessions resume only under the scope that they were made under.
func (t *tlsFiles) report(msg string) {
	config := t.current.Load()
	scope := t.flags.Scope
	if scope == "" {
		scope = t.trustID(config)[:16]
	}
	leaf := config.Certificates[0].Leaf
	t.log.Info(msg, "subject", leaf.Subject.String(), "until", leaf.NotAfter, "client_ca", t.flags.ClientCA, "scope", scope)
	if t.flags.Cert != "" { // the self-signed one needs no check
		warnOfCertificate(t.log, t.flags.Cert, config.Certificates[0], time.Now())
		warnOfKeyMode(t.log, t.flags.Key)
	}
}

// known returns the pool for this content of the file.
func (t *tlsFiles) known(ca clientCA) *x509.CertPool {
	if pool, ok := t.pools[ca.digest]; ok {
		return pool
	}
	t.pools[ca.digest] = ca.pool
	t.digests.Store(ca.pool, ca.digest)
	return ca.pool
}

func (t *tlsFiles) clientAuth() tls.ClientAuthType {
	if t.flags.ClientAuth == "request" {
		return tls.VerifyClientCertIfGiven
	}
	return tls.RequireAndVerifyClientCert
}

// config returns the configuration to serve with. Each connection uses the files in
// force. The client-certificate policy, which no reload changes, is also in the
// configuration itself, because the cache checks that one when it makes its listener.
func (t *tlsFiles) config() *tls.Config {
	base := t.current.Load().Clone()
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.current.Load(), nil }
	return base
}

// trustID is [halfshake.Config.TrustID]. It returns a digest of the --client-ca file and
// of the server's public keys that config, or the one it was cloned from, was made of. If
// a key is replaced, perhaps because it was stolen, the sessions made under it end. If a
// certificate is renewed for the same key, they do not. This suits stores that belong to
// one machine. Machines that share a store may have different keys.
func (t *tlsFiles) trustID(config *tls.Config) string {
	digest := sha256.New()
	if config.ClientCAs != nil {
		content, known := t.digests.Load(config.ClientCAs)
		if !known {
			return ""
		}
		_, _ = io.WriteString(digest, content.(string))
	}
	for _, cert := range config.Certificates {
		key := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
		_, _ = digest.Write(key[:])
	}
	return hex.EncodeToString(digest.Sum(nil))
}
