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
	// DefaultTimeout is what SSL_CTX_set_timeout(3) names, and what nginx and
	// httpd use.
	DefaultTimeout = 300 * time.Second
	// MaxTimeout is the longest life of a ticket in RFC 9846 section 4.6.1;
	// crypto/tls resumes nothing older.
	MaxTimeout = 7 * 24 * time.Hour
	// DefaultSize is SSL_SESSION_CACHE_MAX_SIZE_DEFAULT.
	DefaultSize = 20480
	// DefaultMaxBytes holds DefaultSize sessions of a client with a chain of
	// two RSA-2048 certificates (3.5 kB each) with room to spare.
	DefaultMaxBytes = 128 << 20
	// DefaultMaxLineageAge applies to sessions that carry a client certificate:
	// RFC 9846 section 4.6.1 wants the total lifetime of keying material limited
	// by how likely the certificate is to be revoked.
	DefaultMaxLineageAge = 24 * time.Hour
	// DefaultCallbackTimeout is many times what a store on the same network needs,
	// and no longer than a person waits for a page.
	DefaultCallbackTimeout = time.Second
	// DefaultMaxPending bounds what clients hold that send no whole ClientHello: a
	// goroutine each, and up to 64 KiB for those that begin a large one. Some 4,000
	// clients can connect each second and send nothing before others have to wait.
	DefaultMaxPending = 4096
)

// An UncleanClosePolicy says what becomes of the session of a connection that
// ended without close_notify.
type UncleanClosePolicy uint8

const (
	// UncleanCloseKeep keeps it, as RFC 4346 section 7.2.1 allows and current
	// servers do: many HTTP clients never send close_notify.
	UncleanCloseKeep UncleanClosePolicy = iota
	// UncleanCloseRemove removes it, as SSL_CTX_set_session_cache_mode(3) and RFC
	// 2246 section 7.2.1 have it.
	UncleanCloseRemove
)

// Config configures a [Cache]. The zero Config is a good server cache. Changing it
// after [New] has returned has no effect on the Cache.
type Config struct {
	// Mode says what is stored and where sessions are looked up; 0 is
	// [ModeServer]. Flags alone, without a side, are an error.
	Mode Mode

	// Timeout is how long a new session may be resumed, in whole seconds, at
	// most [MaxTimeout]; 0 is [DefaultTimeout].
	Timeout time.Duration

	// Size is how many sessions the internal cache holds; 0 is [DefaultSize],
	// and a negative number leaves the bound to MaxBytes alone.
	Size int

	// MaxBytes is how many bytes of memory they may be accounted at; 0 is
	// [DefaultMaxBytes].
	MaxBytes int64

	// Scope names what this cache's sessions may be resumed for: OpenSSL's
	// session id context, of any length. Two caches with a common external
	// cache share sessions only under the same Scope. A configuration that
	// asks for client certificates needs Scope or TrustID.
	Scope string

	// TrustID names what a configuration trusts, as far as it is in neither
	// ClientCAs nor VerifyPeerCertificate, which every resumption asks again:
	// sessions made under one name are not resumed under another. It is called with
	// each configuration that the application hands in or that its
	// GetConfigForClient returns, and must be safe for concurrent use. Nil, or an
	// empty name, adds nothing to the Scope.
	TrustID func(*tls.Config) string

	// Authorize is the application's own rung of the ladder, the last but
	// Admit: false is a full handshake. VerifyConnection, the other hook that a
	// resumption reaches, can only fail the handshake. Nil lets all pass.
	Authorize func(ConnInfo, *Session) bool

	// SkipVerifyPeerCertificate keeps the tls.Config's VerifyPeerCertificate from
	// being asked before a session is resumed. crypto/tls does not ask it then, so
	// what it would refuse would go on being served: set this only for a function
	// with effects, and let Authorize decide what it decides.
	SkipVerifyPeerCertificate bool

	// ReverifyChains verifies a client's certificates anew, against today's
	// ClientCAs, before a session is resumed. Without it a resumption asks whether a
	// chain that was verified once is still in its time and ends in a certificate of
	// ClientCAs: it does not see a constraint added with
	// [x509.CertPool.AddCertWithConstraint]. It costs some 100 µs for each
	// resumption with P-256 certificates.
	ReverifyChains bool

	// MaxLineageAge is how long after a full handshake sessions that descend from it
	// may be resumed. 0 is [DefaultMaxLineageAge] for sessions with a client
	// certificate and no limit for others; a negative duration is no limit; a
	// positive one holds for all. A new session whose lineage cannot be told is not
	// cached where a limit applies; the table in the package documentation says
	// where that is.
	MaxLineageAge time.Duration

	// UncleanClose says what becomes of a session whose connection ended
	// without close_notify, where the engine sees it; 0 is [UncleanCloseKeep].
	UncleanClose UncleanClosePolicy

	// SessionIDs says for which TLS 1.2 clients [Cache.NewListener] and
	// [Cache.Server] resume by session id; 0 is [SessionIDsOff].
	SessionIDs SessionIDs

	// MaxPending is how many connections of a [Cache.NewListener] may be sending
	// their ClientHello at a time, where SessionIDs makes it read one; as many more
	// may wait for Accept. 0 is [DefaultMaxPending]. Beyond that, new connections
	// wait in the backlog of the listener below. A connection makes room for them
	// if it has not sent a whole ClientHello within a second, nothing more has come
	// from it, and no address has more such connections than its own. A client has
	// ten seconds in any case.
	MaxPending int

	// Callbacks connect the cache to an external one.
	Callbacks Callbacks

	// CallbackTimeout is how long all callbacks of one handshake may take together,
	// as their context tells them; 0 is [DefaultCallbackTimeout]. All Remove
	// callbacks of one Flush, SetSize or Close have as long together.
	CallbackTimeout time.Duration

	// Logger receives failures of callbacks (warn) and, for each connection,
	// why it was or was not resumed (debug). Nil is [slog.Default] at warn and
	// above, looked up for each line; a Logger over [slog.DiscardHandler] is silent.
	Logger *slog.Logger

	// Time returns the current time for everything that the cache decides; nil is
	// [time.Now]. Certificates are checked by the Time of the tls.Config in force.
	Time func() time.Time
}

// validate says what is wrong with cfg, and how to mend it.
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

// withDefaults returns cfg with its zeros replaced by what they stand for. Mode,
// Timeout, Size and three of the callbacks can be set later, and have their values
// elsewhere.
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

// maxLineageAge returns how old a lineage may be, 0 for no limit.
func (cfg *Config) maxLineageAge(clientCertificate bool) time.Duration {
	switch {
	case cfg.MaxLineageAge < 0, cfg.MaxLineageAge == 0 && !clientCertificate:
		return 0
	case cfg.MaxLineageAge == 0:
		return DefaultMaxLineageAge
	}
	return cfg.MaxLineageAge
}
