package halfshake

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/sslsession"
)

// An Exchange is what a server's sessions have in common with those of C servers on
// OpenSSL, so that both can resume them. OpenSSL's encoding has no room for the scope of
// a session, so whoever converts one has to know it.
//
// An Exchange moves live keys. Anyone who can write what [Cache.Import] reads can make
// sessions, and with them clients.
type Exchange struct {
	// Config is the server's configuration. Together with the Cache's Scope and TrustID,
	// it decides what a session may be resumed for.
	Config *tls.Config
	// IDContext is the C server's SSL_CTX_set_session_id_context(3), at most 32 bytes.
	// A session with another one is an error.
	IDContext []byte
	// ServerName is the name that the client asked for, or "". A session that names
	// another is an error. Many C servers do not record the name; then the caller must
	// know that all its sessions are for this name.
	ServerName string
}

// Import converts a server's session from OpenSSL's, for [Cache.Add] or as the result of
// a Get callback. It returns an error for a session that this Cache could never resume,
// or could not resume safely. Reasons are another session id context or server name, a
// lack of the extended master secret in TLS 1.2 (RFC 7627), early data, and a ticket,
// which only a client's session has. A session that has expired converts, and is then
// refused.
//
// OpenSSL keeps only the client's own certificate. It must verify against today's
// ClientCAs without intermediates, if the configuration verifies certificates at all.
//
// The session's lineage begins with the session, because OpenSSL does not record the
// full handshake that it descends from. So it is an error if a [Config.MaxLineageAge]
// applies, as it does by default to sessions with a client certificate. Importing the
// same session twice results in the same lineage, so that a removal of the lineage holds.
func (c *Cache) Import(o *sslsession.Session, x Exchange) (*Session, error) {
	if o == nil {
		return nil, errors.New("halfshake: import: the session is nil")
	}
	s, err := c.imported(o, x)
	if err != nil {
		return nil, fmt.Errorf("halfshake: import: %w", err)
	}
	return s, nil
}

func (c *Cache) imported(o *sslsession.Session, x Exchange) (*Session, error) {
	p, err := c.checkExchange(x)
	if err != nil {
		return nil, err
	}
	if err := c.importable(o, x, p); err != nil {
		return nil, err
	}
	state := &sessionstate.State{
		Version: o.Version, CipherSuite: o.CipherSuite, CreatedAt: uint64(o.Time), Secret: o.MasterKey,
		ExtendedMasterSecret: o.ExtendedMasterSecret(), CurveID: tls.CurveID(o.Group),
	}
	s := &Session{
		serial: nextSerial(), id: string(o.ID), version: o.Version, suite: o.CipherSuite,
		created: o.Time, expires: o.Time + min(o.Timeout, int64(MaxTimeout/time.Second)), lineage: importedLineage(o),
		serverName: x.ServerName, alpn: string(o.ALPN), scope: p.digest(x.ServerName),
	}
	if !p.serverNotAfter.IsZero() {
		s.expireBy(p.serverNotAfter)
	}
	if o.PeerCertificate != nil {
		leaf, err := importCertificate(o, p, state)
		if err != nil {
			return nil, err
		}
		s.expireBy(leaf.NotAfter)
	}
	s.setData(o.TicketData)
	if s.state, err = sessionstate.Build(state); err != nil {
		return nil, err
	}
	if s.expires < s.created {
		return nil, fmt.Errorf("it was made at %v, when a certificate that it depends on had expired", s.Created().UTC())
	}
	if size := s.encodedSize(); size > MaxSessionSize {
		return nil, fmt.Errorf("it takes %d bytes; a session has at most %d", size, MaxSessionSize)
	}
	return s, nil
}

// checkExchange returns the policy of an Exchange.
func (c *Cache) checkExchange(x Exchange) (policy, error) {
	p, err := c.checkConfig(x.Config)
	switch {
	case err != nil:
		return p, err
	case len(x.IDContext) > MaxIDSize:
		return p, fmt.Errorf("Exchange.IDContext has %d bytes; OpenSSL allows %d", len(x.IDContext), MaxIDSize)
	case len(x.ServerName) > maxName:
		return p, fmt.Errorf("Exchange.ServerName has %d bytes; a name has at most %d", len(x.ServerName), maxName)
	}
	return p, nil
}

// importable says why a session cannot be imported.
func (c *Cache) importable(o *sslsession.Session, x Exchange, p policy) error {
	name, hasCertificate := lowerASCII(string(o.ServerName)), o.PeerCertificate != nil
	switch {
	case !bytes.Equal(o.IDContext, x.IDContext):
		return errors.New("it has another session id context than Exchange.IDContext")
	case o.MaxEarlyData > 0:
		return errors.New("it allows early data (max_early_data is above 0), which two servers could accept twice")
	case o.Ticket != nil:
		return errors.New("it has a ticket, so it is a client's session; export the server's own")
	case !validID(o.ID):
		return errors.New("its session id is empty, so nothing can find it")
	case !suiteExists(o.Version, o.CipherSuite):
		return fmt.Errorf("%s with %s is not supported", versionName(o.Version), tls.CipherSuiteName(o.CipherSuite))
	case o.Version == tls.VersionTLS12 && !o.ExtendedMasterSecret():
		return errors.New("it was made without the extended master secret (RFC 7627), so it must not be resumed")
	case !usableSecret(&sessionstate.State{Version: o.Version, CipherSuite: o.CipherSuite, Secret: o.MasterKey}):
		return errors.New("its master key does not have the length that the version requires, or is all zeros")
	case o.Time <= 0 || o.Timeout <= 0 || !validTimes(uint64(o.Time), uint64(o.Time)+uint64(MaxTimeout/time.Second)):
		return errors.New("its time or timeout is missing, or out of range")
	case o.ServerName != nil && name != lowerASCII(x.ServerName):
		return errors.New("it was made for another server name than Exchange.ServerName")
	case len(o.ALPN) > maxName || o.Group > 1<<16-1:
		return errors.New("its protocol or its key-exchange group is out of range")
	case len(o.TicketData) > MaxDataSize:
		return fmt.Errorf("its application data has %d bytes; a session holds at most %d", len(o.TicketData), MaxDataSize)
	case hasCertificate && p.config.ClientAuth == tls.NoClientCert:
		return errors.New("it has a client certificate, which the configuration does not ask for")
	case !hasCertificate && p.requiresCertificate():
		return errors.New("it has no client certificate, which the configuration requires")
	}
	if age := c.cfg.maxLineageAge(hasCertificate); age > 0 {
		return fmt.Errorf("the time of its full handshake is unknown, and sessions may descend from one %v ago at most; set Config.MaxLineageAge to a negative duration to import it", age)
	}
	return nil
}

// importCertificate verifies the client's certificate as a full handshake would, and adds
// it to the state.
func importCertificate(o *sslsession.Session, p policy, state *sessionstate.State) (*x509.Certificate, error) {
	leaf, err := o.Certificate()
	if err != nil {
		return nil, err
	}
	state.Certificates = [][]byte{leaf.Raw}
	if !p.verifiesCertificate() {
		return leaf, nil
	}
	chains, err := leaf.Verify(anchors{roots: p.config.ClientCAs, usage: x509.ExtKeyUsageClientAuth, now: p.now()}.options(nil))
	if err != nil {
		return nil, fmt.Errorf("its client certificate does not verify without intermediates, which OpenSSL does not keep: %w", err)
	}
	for _, chain := range chains {
		state.Chains = append(state.Chains, ders(chain[1:]))
	}
	return leaf, nil
}

// importedLineage returns the lineage of an imported session, always the same one.
func importedLineage(o *sslsession.Session) Lineage {
	l := newLineage(o.Time * 1000)
	rest := sha256.Sum256(slices.Concat([]byte("halfshake imported lineage\x00"), o.ID))
	copy(l[6:], rest[:])
	return l
}

func suiteExists(version, suite uint16) bool {
	return slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool {
		return s.ID == suite && slices.Contains(s.SupportedVersions, version)
	}) && version >= tls.VersionTLS12
}

// verifyResultUnspecified is X509_V_ERR_UNSPECIFIED.
const verifyResultUnspecified = 1

// Export converts a session for C servers on OpenSSL, as a New callback does. It returns an
// error for a session that was made under another scope, or that allows early data. The
// intermediates of a client certificate, the lineage and the scope are lost. In TLS 1.3,
// OpenSSL finds only sessions whose id has 32 bytes.
func (c *Cache) Export(s *Session, x Exchange) (*sslsession.Session, error) {
	if s == nil {
		return nil, errors.New("halfshake: export: the session is nil")
	}
	o, err := c.exported(s, x)
	if err != nil {
		return nil, fmt.Errorf("halfshake: export: %w", err)
	}
	return o, nil
}

func (c *Cache) exported(s *Session, x Exchange) (*sslsession.Session, error) {
	p, err := c.checkExchange(x)
	if err != nil {
		return nil, err
	}
	state, err := sessionstate.Parse(s.state)
	switch {
	case err != nil:
		return nil, errors.New("this release of Go cannot decode it")
	case state.EarlyData:
		return nil, errors.New("it allows early data (max_early_data is above 0), which two servers could accept twice")
	case s.scope != p.digest(x.ServerName):
		return nil, errors.New("it was made under another scope, server name, client-certificate policy or TrustID")
	}
	o := &sslsession.Session{
		Version: s.version, CipherSuite: s.suite, ID: s.ID(), MasterKey: bytes.Clone(state.Secret),
		Time: s.created, Timeout: s.expires - s.created, IDContext: bytes.Clone(x.IDContext),
		TicketData: s.Data(), Group: uint32(state.CurveID),
	}
	if state.ExtendedMasterSecret {
		o.Flags |= sslsession.FlagExtendedMasterSecret
	}
	if s.serverName != "" {
		o.ServerName = []byte(s.serverName)
	}
	if s.alpn != "" {
		o.ALPN = []byte(s.alpn)
	}
	if len(state.Certificates) > 0 {
		o.PeerCertificate = bytes.Clone(state.Certificates[0])
		if len(state.Chains) == 0 {
			o.VerifyResult = verifyResultUnspecified
		}
	}
	return o, nil
}
