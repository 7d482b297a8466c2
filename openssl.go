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

// An Exchange describes the sessions that a program shares with C programs on OpenSSL.
// OpenSSL's encoding has no room for the scope of a session, so the caller must supply it.
//
// It has no room for a lineage either. A session loses its lineage when it is exported, and
// when a C server renews it in TLS 1.3. [Cache.RemoveLineage] does not reach such a
// session: remove the session itself, on every program that shares it, or flush
// everything.
//
// An Exchange moves live keys. Anyone who can write what [Cache.Import] reads can forge
// sessions and impersonate clients.
type Exchange struct {
	// Config is the configuration of the server, or of the client if Addr is set.
	// Together with the Cache's Scope and TrustID, it decides what a session may be
	// resumed for.
	Config *tls.Config
	// IDContext is the C program's SSL_CTX_set_session_id_context(3), at most 32 bytes.
	// A session with another one is an error. Clients seldom have one.
	IDContext []byte
	// ServerName is the name that a server's client asked for, or "". A session that
	// names another is an error. Many C servers do not record the name. In that case, use
	// a store that holds sessions for this name only. A client's name is that of
	// [Cache.ClientConfig].
	ServerName string
	// Addr, host:port, is the server that a client connects to. It makes the session a
	// client's. Empty means a server's session.
	Addr string
}

// Import converts a session from OpenSSL's. A server's session is for [Cache.Add] or the
// result of a Get callback. A client's, with Exchange.Addr, is for Add or [Cache.Offer].
//
// Import returns an error for a session that this Cache could never resume, or could not
// resume safely. For example, the session id context or the server name differs, the
// session allows early data, it was made in TLS 1.2 without the extended master secret (RFC
// 7627), or it has a ticket, which only a client's session has. A session that has expired
// converts, and is then refused.
//
// OpenSSL keeps only the peer's own certificate. It must verify against today's ClientCAs
// or RootCAs without intermediates, if the configuration verifies certificates at all.
//
// The session's lineage begins with the session, because OpenSSL does not record the
// full handshake that it descends from. So it is an error if a [Config.MaxLineageAge]
// applies, as it does by default to sessions with a client certificate. A session of the
// same id and time always gets the same lineage, so that a removal of it holds.
//
// In a Get callback, return nil, nil for a session that does not import: a client can
// propose any session that the C programs have stored, and an error counts as a failure of
// the callback.
func (c *Cache) Import(o *sslsession.Session, x Exchange) (*Session, error) {
	if o == nil {
		return nil, errors.New("halfshake: import: the session is nil")
	}
	importSide := c.importServers
	if x.Addr != "" {
		importSide = c.importClients
	}
	err := transferable(o, x, c.now())
	if err == nil {
		var s *Session
		if s, err = importSide(o, x); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("halfshake: import: %w", err)
}

// transferable says why a session of either side cannot be imported.
func transferable(o *sslsession.Session, x Exchange, now time.Time) error {
	switch {
	case len(x.IDContext) > MaxIDSize:
		return errLongContext
	case !bytes.Equal(o.IDContext, x.IDContext):
		return errors.New("it has another session id context than Exchange.IDContext")
	case o.MaxEarlyData > 0:
		return errEarlyData
	case !suiteExists(o.Version, o.CipherSuite):
		return fmt.Errorf("%s with %s is not supported", versionName(o.Version), tls.CipherSuiteName(o.CipherSuite))
	case o.Version == tls.VersionTLS12 && !o.ExtendedMasterSecret():
		return errors.New("it was made without the extended master secret (RFC 7627), so it must not be resumed")
	case !usableSecret(&sessionstate.State{Version: o.Version, CipherSuite: o.CipherSuite, Secret: o.MasterKey}):
		return errors.New("its master key does not have the length that the version requires, or is all zeros")
	case o.Time <= 0 || o.Timeout <= 0 || !validTimes(uint64(o.Time), uint64(o.Time)+uint64(MaxTimeout/time.Second)):
		return errors.New("its time or timeout is missing, or out of range")
	case o.Time > now.Add(maxClockSkew).Unix(): // no floor would reach it
		return errors.New("it was made in the future")
	case o.PSKIdentity != nil || o.SRPUser != nil || o.PeerPublicKey != nil:
		return errors.New("its peer proved itself by a pre-shared key, SRP or a raw public key, which no tls.Config asks for")
	case len(o.ALPN) > maxName || o.Group > 1<<16-1:
		return errors.New("its protocol or its key-exchange group is out of range")
	case len(o.TicketData) > MaxDataSize:
		return fmt.Errorf("its application data has %d bytes; a session holds at most %d", len(o.TicketData), MaxDataSize)
	}
	return nil
}

// importServers imports a server's session.
func (c *Cache) importServers(o *sslsession.Session, x Exchange) (*Session, error) {
	p, err := c.checkExchange(x)
	if err != nil {
		return nil, err
	}
	if err := c.importable(o, x, p); err != nil {
		return nil, err
	}
	s, state := c.startImport(o)
	s.id, s.serverName, s.scope = string(o.ID), x.ServerName, p.digest(x.ServerName)
	if !p.serverNotAfter.IsZero() {
		s.expireBy(p.serverNotAfter)
	}
	if o.PeerCertificate != nil {
		leaf, err := importCertificate(o, state, p.verifiesCertificate(), anchors{roots: p.config.ClientCAs, usage: x509.ExtKeyUsageClientAuth, now: p.now()})
		if err != nil {
			return nil, err
		}
		s.expireBy(leaf.NotAfter)
	}
	return finishImport(s, state, sessionstate.Build)
}

// startImport converts what is the same on both sides.
func (c *Cache) startImport(o *sslsession.Session) (*Session, *sessionstate.State) {
	timeout, most := min(o.Timeout, int64(MaxTimeout/time.Second)), c.now().Add(MaxTimeout).Unix()
	s := &Session{
		serial: nextSerial(), version: o.Version, suite: o.CipherSuite, alpn: string(o.ALPN), lineage: importedLineage(o),
		created: o.Time, expires: min(o.Time+timeout, most),
	}
	s.setData(o.TicketData)
	return s, &sessionstate.State{
		Version: o.Version, CipherSuite: o.CipherSuite, CreatedAt: uint64(o.Time), Secret: o.MasterKey,
		ExtendedMasterSecret: o.ExtendedMasterSecret(), CurveID: tls.CurveID(o.Group),
	}
}

// finishImport encodes the state, and checks the limits of every session.
func finishImport(s *Session, state *sessionstate.State, build func(*sessionstate.State) ([]byte, error)) (_ *Session, err error) {
	if s.state, err = build(state); err != nil {
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
	case len(x.ServerName) > maxName:
		return p, fmt.Errorf("Exchange.ServerName has %d bytes; a name has at most %d", len(x.ServerName), maxName)
	}
	return p, nil
}

// importable says why a server's session cannot be imported.
func (c *Cache) importable(o *sslsession.Session, x Exchange, p policy) error {
	name, hasCertificate := lowerASCII(string(o.ServerName)), o.PeerCertificate != nil
	switch {
	case o.Ticket != nil:
		return errors.New("it has a ticket, so it is a client's session; export the server's own")
	case !validID(o.ID):
		return errors.New("its session id is empty, so nothing can find it")
	case o.ServerName != nil && name != lowerASCII(x.ServerName):
		return errors.New("it was made for another server name than Exchange.ServerName")
	case hasCertificate && p.config.ClientAuth == tls.NoClientCert:
		return errors.New("it has a client certificate, which the configuration does not ask for")
	case !hasCertificate && p.requiresCertificate():
		return errors.New("it has no client certificate, which the configuration requires")
	case hasCertificate && o.VerifyResult != 0 && p.verifiesCertificate():
		return fmt.Errorf("its client certificate was not verified (verify result %d)", o.VerifyResult)
	}
	return c.ageAllowsImport(hasCertificate)
}

// ageAllowsImport returns an error if a MaxLineageAge applies, because the age of an
// imported session's lineage is unknown.
func (c *Cache) ageAllowsImport(clientCertificate bool) error {
	if age := c.cfg.maxLineageAge(clientCertificate); age > 0 {
		return fmt.Errorf("the time of its full handshake is unknown, and sessions may descend from one %v ago at most; set Config.MaxLineageAge to a negative duration to import it", age)
	}
	return nil
}

// importCertificate adds the peer's certificate to the state. Where the configuration
// verifies certificates, it is verified against a as in a full handshake.
func importCertificate(o *sslsession.Session, state *sessionstate.State, verifies bool, a anchors) (*x509.Certificate, error) {
	leaf, err := o.Certificate()
	if err != nil {
		return nil, err
	}
	state.Certificates = [][]byte{leaf.Raw}
	if !verifies {
		return leaf, nil
	}
	chains, err := leaf.Verify(a.options(nil))
	if err != nil {
		return nil, fmt.Errorf("its peer certificate does not verify without intermediates, which OpenSSL does not keep: %w", err)
	}
	for _, chain := range chains {
		state.Chains = append(state.Chains, ders(chain[1:]))
	}
	return leaf, nil
}

// importedLineage derives the lineage from the session, so importing it again gives the
// same one.
func importedLineage(o *sslsession.Session) Lineage {
	l := newLineage(o.Time * 1000)
	rest := sha256.Sum256(slices.Concat([]byte("halfshake imported lineage\x00"), o.ID, o.Ticket))
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

// Export converts a session for C programs on OpenSSL, in a New callback for example. It
// returns an error for a session that was made under another scope, or that allows early
// data. The peer's intermediate certificates, the lineage and the scope are lost. In TLS
// 1.3, OpenSSL's servers find only sessions whose id has 32 bytes.
func (c *Cache) Export(s *Session, x Exchange) (*sslsession.Session, error) {
	if s == nil {
		return nil, errors.New("halfshake: export: the session is nil")
	}
	exportSide := c.exportServers
	if s.Client() {
		exportSide = c.exportClients
	}
	err := errLongContext
	if len(x.IDContext) <= MaxIDSize {
		var o *sslsession.Session
		if o, err = exportSide(s, x); err == nil {
			return o, nil
		}
	}
	return nil, fmt.Errorf("halfshake: export: %w", err)
}

// exportServers exports a server's session.
func (c *Cache) exportServers(s *Session, x Exchange) (*sslsession.Session, error) {
	p, err := c.checkExchange(x)
	if err != nil {
		return nil, err
	}
	if x.Addr != "" || s.scope != p.digest(x.ServerName) {
		return nil, errors.New("it was made under another scope, server name, client-certificate policy or TrustID")
	}
	o, _, err := startExport(s, x)
	if err != nil {
		return nil, err
	}
	o.ID = s.ID()
	if s.serverName != "" {
		o.ServerName = []byte(s.serverName)
	}
	return o, nil
}

var (
	errLongContext = fmt.Errorf("Exchange.IDContext has more than %d bytes", MaxIDSize)
	errEarlyData   = errors.New("it allows early data (max_early_data is above 0), which two programs could use twice")
)

// startExport converts what is the same on both sides.
func startExport(s *Session, x Exchange) (*sslsession.Session, *sessionstate.State, error) {
	state, err := s.decode()
	switch {
	case err != nil:
		return nil, nil, errors.New("this release of Go cannot decode it")
	case state.EarlyData:
		return nil, nil, errEarlyData
	case s.expires <= s.created:
		return nil, nil, errors.New("it expires in the second in which it was made, and OpenSSL reads a timeout of 0 as three seconds")
	}
	o := &sslsession.Session{
		Version: s.version, CipherSuite: s.suite, MasterKey: bytes.Clone(state.Secret),
		Time: s.created, Timeout: s.expires - s.created, IDContext: bytes.Clone(x.IDContext),
		TicketData: s.Data(), Group: uint32(state.CurveID),
	}
	if state.ExtendedMasterSecret {
		o.Flags |= sslsession.FlagExtendedMasterSecret
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
	return o, state, nil
}
