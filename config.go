package halfshake

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/halfshake/halfshake/internal/sessioncache"
)

// Defaults and bounds of a [Config].
const (
	// DefaultTimeout is the default of SSL_CTX_set_timeout(3), nginx and httpd.
	DefaultTimeout = 300 * time.Second
	// MaxTimeout is the longest ticket lifetime that RFC 9846 section 4.6.1 allows.
	// crypto/tls resumes nothing older.
	MaxTimeout = 7 * 24 * time.Hour
	// DefaultSize is SSL_SESSION_CACHE_MAX_SIZE_DEFAULT.
	DefaultSize = 20480
	// DefaultMaxBytes easily holds DefaultSize sessions with a chain of two RSA-2048
	// client certificates (3.5 kB each).
	DefaultMaxBytes = 128 << 20
	// DefaultMaxLineageAge applies to sessions that carry a client certificate.
	// RFC 9846 section 4.6.1 recommends limiting the total lifetime of keying material
	// by how likely the certificate is to be revoked.
	DefaultMaxLineageAge = 24 * time.Hour
	// DefaultCallbackTimeout is many times what a store on the same network needs,
	// and no longer than a person waits for a page.
	DefaultCallbackTimeout = time.Second
	// DefaultMaxPending bounds the resources of clients that have not sent a whole
	// ClientHello: each holds a goroutine, and up to 64 KiB if it begins a large one.
	// More than 4,000 clients a second can connect and send nothing before others
	// have to wait.
	DefaultMaxPending = 4096
)

// An UncleanClosePolicy says whether a session stays in the cache after its connection
// ended without close_notify.
type UncleanClosePolicy uint8

const (
	// UncleanCloseKeep keeps the session. Many HTTP clients never send close_notify.
	// RFC 4346 section 7.2.1 allows it and current servers do the same.
	UncleanCloseKeep UncleanClosePolicy = iota
	// UncleanCloseRemove removes the session, as SSL_CTX_set_session_cache_mode(3) and
	// RFC 2246 section 7.2.1 require.
	UncleanCloseRemove
)

// Config configures a [Cache]. The zero Config makes a good server cache. Changing it
// after [New] has returned has no effect on the Cache.
type Config struct {
	// Mode says which sessions are stored and where they are looked up; 0 means
	// [ModeServer]. Flags without a side are an error.
	Mode Mode

	// Timeout is how long a new session may be resumed, in whole seconds, at
	// most [MaxTimeout]; 0 means [DefaultTimeout].
	Timeout time.Duration

	// Size is how many sessions the internal cache holds. 0 means [DefaultSize]. With a
	// negative number, only MaxBytes limits the cache.
	Size int

	// MaxBytes limits the memory of the internal cache's sessions, as the cache accounts
	// for it; 0 means [DefaultMaxBytes].
	MaxBytes int64

	// Scope names what this cache's sessions may be resumed for. It is OpenSSL's
	// session id context, but of any length. Two caches with a common external
	// cache share sessions only under the same Scope. A configuration that
	// asks for client certificates needs Scope or TrustID.
	Scope string

	// TrustID names what a configuration trusts beyond ClientCAs, or a client's RootCAs,
	// and VerifyPeerCertificate, which every resumption checks again. For a client it can
	// also name who the client is. Sessions made under one name are not resumed under
	// another. TrustID is called with each configuration that the application passes in or
	// that its GetConfigForClient returns, and must be safe for concurrent use. Nil, or an
	// empty name, adds nothing to the Scope.
	TrustID func(*tls.Config) string

	// Authorize is the application's own check before a resumption. It runs after all
	// others except Admit; false means a full handshake. VerifyConnection also runs
	// on resumption, but can only fail the handshake. Nil lets every session pass.
	Authorize func(ConnInfo, *Session) bool

	// Annotate returns application data to store with the session of a full handshake,
	// at most [MaxDataSize] bytes. It runs before the session is stored, and is given a
	// copy of it. Sessions that descend from it by resumption keep the data; see
	// [Session.Data]. If Annotate panics or returns more, the session is not cached.
	// Where a resumption does not know its parent, as can happen under
	// [Cache.ServerConfig], Annotate is called for it too. Nil means no data.
	Annotate func(ConnInfo, *Session) []byte

	// SkipVerifyPeerCertificate makes the cache resume sessions without calling the
	// tls.Config's VerifyPeerCertificate. crypto/tls does not call it on resumption
	// either, so clients that it would refuse today could still resume. Set this only if
	// the function has side effects, and make the same decision in Authorize.
	SkipVerifyPeerCertificate bool

	// ReverifyChains verifies a client's certificates again, against today's
	// ClientCAs, before a session is resumed. Without it, a resumption only checks that
	// a chain verified earlier has not expired and ends in a certificate of ClientCAs.
	// That check does not see a constraint added with
	// [x509.CertPool.AddCertWithConstraint]. ReverifyChains costs about 100 µs for each
	// resumption with P-256 certificates.
	ReverifyChains bool

	// MaxLineageAge is how long after a full handshake the sessions that descend from it
	// may be resumed. 0 means [DefaultMaxLineageAge] for a server's sessions with a client
	// certificate and no limit for others. A negative duration means no limit. A positive
	// duration applies to all sessions. Where a limit applies, a new session whose
	// lineage is unknown is not cached; the table in the package documentation says
	// when that happens.
	MaxLineageAge time.Duration

	// UncleanClose says whether a session stays in the cache after its connection ended
	// without close_notify, where the engine sees that; 0 means [UncleanCloseKeep].
	UncleanClose UncleanClosePolicy

	// SessionIDs says for which TLS 1.2 clients [Cache.NewListener] and
	// [Cache.Server] resume by session id; 0 means [SessionIDsOff].
	SessionIDs SessionIDs

	// MaxPending is how many connections of a [Cache.NewListener] may be sending their
	// ClientHello at the same time, and how many more may wait for Accept. 0 means
	// [DefaultMaxPending]. It has no effect while SessionIDs is off, because the listener
	// then does not read the ClientHello. New connections beyond the limit wait in the
	// backlog of the listener below. To make room for them, the listener closes a
	// connection that has not sent a whole ClientHello within a second, has nothing left
	// to read, and whose address holds as many such connections as any other. Every
	// client must finish within ten seconds.
	MaxPending int

	// Callbacks connect the cache to an external one.
	Callbacks Callbacks

	// CallbackTimeout limits the total time of all callbacks of one handshake, through
	// their context; 0 means [DefaultCallbackTimeout]. The same limit applies to all
	// Remove callbacks of one Flush, SetSize or Close together.
	CallbackTimeout time.Duration

	// Logger receives failures of callbacks (warn) and, for each connection, why it was
	// or was not resumed (debug). Nil means [slog.Default], looked up for each line, at
	// warn and above. To disable logging, use a Logger over [slog.DiscardHandler].
	Logger *slog.Logger

	// Time returns the current time for everything that the cache decides; nil means
	// [time.Now]. Certificates are checked against the Time of the tls.Config in force.
	Time func() time.Time
}

// validate says what is wrong with cfg, and how to fix it.
func (cfg *Config) validate() error {
	oneSession := int64(sessioncache.Footprint(MaxSessionSize))
	switch {
	case cfg.Mode&^knownBits != 0:
		return fmt.Errorf("halfshake: Config.Mode has unknown bits %#x; combine the constants of type Mode", uint16(cfg.Mode&^knownBits))
	case cfg.Mode != 0 && cfg.Mode&(sideBits|ModeOff) == 0:
		return fmt.Errorf("halfshake: Config.Mode is %v without a side; add ModeServer, or ModeOff to disable the cache", cfg.Mode)
	case cfg.Timeout < 0 || cfg.Timeout > MaxTimeout || cfg.Timeout%time.Second != 0:
		return fmt.Errorf("halfshake: Config.Timeout is %v; set whole seconds from 1s to %v, or 0 for %v", cfg.Timeout, MaxTimeout, DefaultTimeout)
	case cfg.MaxBytes < 0 || cfg.MaxBytes > 0 && cfg.MaxBytes < oneSession:
		return fmt.Errorf("halfshake: Config.MaxBytes is %d, which does not hold one session; set at least %d, or 0 for %d", cfg.MaxBytes, oneSession, DefaultMaxBytes)
	case cfg.SessionIDs > SessionIDsAlways:
		return fmt.Errorf("halfshake: Config.SessionIDs is %d; set SessionIDsOff, SessionIDsTicketless or SessionIDsAlways", cfg.SessionIDs)
	case cfg.MaxPending < 0:
		return fmt.Errorf("halfshake: Config.MaxPending is %d; set a positive number, or 0 for %d", cfg.MaxPending, DefaultMaxPending)
	case cfg.CallbackTimeout < 0:
		return fmt.Errorf("halfshake: Config.CallbackTimeout is %v; set a positive duration, or 0 for %v", cfg.CallbackTimeout, DefaultCallbackTimeout)
	case cfg.UncleanClose > UncleanCloseRemove:
		return fmt.Errorf("halfshake: Config.UncleanClose is %d; set UncleanCloseKeep or UncleanCloseRemove", cfg.UncleanClose)
	}
	return nil
}

// withDefaults returns cfg with its zeros replaced by the defaults. The current values of
// Mode, Timeout, Size and three of the callbacks are kept elsewhere, because they can be
// set later.
func (cfg Config) withDefaults() Config {
	if cfg.Mode == 0 {
		cfg.Mode = ModeServer
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.MaxPending == 0 {
		cfg.MaxPending = DefaultMaxPending
	}
	if cfg.CallbackTimeout == 0 {
		cfg.CallbackTimeout = DefaultCallbackTimeout
	}
	if cfg.Time == nil {
		cfg.Time = time.Now
	}
	return cfg
}

// maxLineageAge returns how old a lineage may be; 0 means no limit.
func (cfg *Config) maxLineageAge(clientCertificate bool) time.Duration {
	switch {
	case cfg.MaxLineageAge < 0, cfg.MaxLineageAge == 0 && !clientCertificate:
		return 0
	case cfg.MaxLineageAge == 0:
		return DefaultMaxLineageAge
	}
	return cfg.MaxLineageAge
}
