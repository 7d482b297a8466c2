package halfshake

import "strings"

// Mode says what a [Cache] stores and where it looks up sessions. It has the bits of
// SSL_CTX_set_session_cache_mode(3). As in C, a mode without a side is off. Only in a
// [Config] does the zero Mode mean [ModeServer].
type Mode uint16

const (
	// ModeClient caches sessions of clients, for [Cache.ClientConfig]
	// (SSL_SESS_CACHE_CLIENT).
	ModeClient Mode = 0x001
	// ModeServer caches sessions of servers (SSL_SESS_CACHE_SERVER).
	ModeServer Mode = 0x002
	// ModeBoth does both (SSL_SESS_CACHE_BOTH).
	ModeBoth = ModeClient | ModeServer

	// ModeNoAutoClear stops the flush of expired sessions at every 255th
	// completed handshake (SSL_SESS_CACHE_NO_AUTO_CLEAR).
	ModeNoAutoClear Mode = 0x080
	// ModeNoInternalLookup looks a server's sessions up only with the Get callback
	// (SSL_SESS_CACHE_NO_INTERNAL_LOOKUP). It has no effect on clients.
	ModeNoInternalLookup Mode = 0x100
	// ModeNoInternalStore stores nothing in the internal cache, neither new
	// sessions nor copies of external ones (SSL_SESS_CACHE_NO_INTERNAL_STORE).
	ModeNoInternalStore Mode = 0x200
	// ModeNoInternal is ModeNoInternalLookup and ModeNoInternalStore
	// (SSL_SESS_CACHE_NO_INTERNAL).
	ModeNoInternal = ModeNoInternalLookup | ModeNoInternalStore
	// ModeUpdateTime counts a session's timeout from its last use, not from its
	// creation (SSL_SESS_CACHE_UPDATE_TIME). A use counts once the client has completed
	// the handshake, which [Cache.ServerConfig] sees over QUIC alone. Copies in an
	// external cache are not renewed.
	ModeUpdateTime Mode = 0x400

	// ModeOff stores nothing, does not call New and does not look in the internal
	// cache (SSL_SESS_CACHE_OFF, which is 0 in OpenSSL). Get is still called, as the
	// manual page says; a session that it returns can resume but is not copied. Without
	// a Get callback, connections of [Cache.NewListener] and [Cache.Server] send no
	// tickets. ModeOff has no effect in a mode that also has a side.
	ModeOff Mode = 0x800
)

const (
	sideBits  = ModeBoth
	flagBits  = ModeNoAutoClear | ModeNoInternal | ModeUpdateTime
	knownBits = sideBits | flagBits | ModeOff
)

// normal returns m in the form that [Cache.Mode] returns: it always has a side or
// ModeOff, and keeps its flags while the cache is off.
func (m Mode) normal() Mode {
	if m&sideBits == 0 {
		return m&flagBits | ModeOff
	}
	return m & (sideBits | flagBits)
}

// These are for a normal Mode.

func (m Mode) serverStores() bool    { return m.stores(ModeServer) }
func (m Mode) internalAnswers() bool { return m&ModeServer != 0 && m&ModeNoInternalLookup == 0 }

// In these, side is ModeServer or ModeClient.

func (m Mode) stores(side Mode) bool        { return m&side != 0 }
func (m Mode) internalKeeps(side Mode) bool { return m&side != 0 && m&ModeNoInternalStore == 0 }
func (m Mode) autoClears(side Mode) bool    { return m&side != 0 && m&ModeNoAutoClear == 0 }

var modeNames = []struct {
	bits Mode
	name string
}{
	{ModeOff, "off"},
	{ModeBoth, "both"},
	{ModeClient, "client"},
	{ModeServer, "server"},
	{ModeNoAutoClear, "no-auto-clear"},
	{ModeNoInternal, "no-internal"},
	{ModeNoInternalLookup, "no-internal-lookup"},
	{ModeNoInternalStore, "no-internal-store"},
	{ModeUpdateTime, "update-time"},
}

// String returns the mode's parts, separated by commas: "server,no-internal".
func (m Mode) String() string {
	if m == 0 {
		m = ModeOff
	}
	var parts []string
	for _, n := range modeNames {
		if m&n.bits == n.bits {
			parts = append(parts, n.name)
			m &^= n.bits
		}
	}
	return strings.Join(parts, ",")
}
