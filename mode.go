package halfshake

import "strings"

// Mode says what a [Cache] stores and where it looks, in the bits of
// SSL_CTX_set_session_cache_mode(3). The zero Mode is [ModeServer], and flags
// alone imply it.
type Mode uint16

const (
	// ModeClient caches sessions of a client (SSL_SESS_CACHE_CLIENT).
	ModeClient Mode = 0x001
	// ModeServer caches sessions of a server (SSL_SESS_CACHE_SERVER).
	ModeServer Mode = 0x002
	// ModeBoth does both (SSL_SESS_CACHE_BOTH).
	ModeBoth = ModeClient | ModeServer

	// ModeNoAutoClear stops the flush of expired sessions at every 255th
	// completed handshake (SSL_SESS_CACHE_NO_AUTO_CLEAR).
	ModeNoAutoClear Mode = 0x080
	// ModeNoInternalLookup asks the Get callback alone
	// (SSL_SESS_CACHE_NO_INTERNAL_LOOKUP).
	ModeNoInternalLookup Mode = 0x100
	// ModeNoInternalStore stores nothing in the internal cache, neither new
	// sessions nor copies of external ones (SSL_SESS_CACHE_NO_INTERNAL_STORE).
	ModeNoInternalStore Mode = 0x200
	// ModeNoInternal is ModeNoInternalLookup and ModeNoInternalStore
	// (SSL_SESS_CACHE_NO_INTERNAL).
	ModeNoInternal = ModeNoInternalLookup | ModeNoInternalStore
	// ModeUpdateTime counts a session's timeout from its last use, not from its
	// creation (SSL_SESS_CACHE_UPDATE_TIME).
	ModeUpdateTime Mode = 0x400

	// ModeOff stores nothing, does not call New and does not ask the internal
	// cache (SSL_SESS_CACHE_OFF, which is 0 in OpenSSL; here the zero Mode is
	// the default). Get is still called, as the manual page says, and what it
	// finds resumes and is not copied. It outweighs every other bit.
	ModeOff Mode = 0x800
)

const (
	sideBits  = ModeBoth
	knownBits = ModeBoth | ModeNoAutoClear | ModeNoInternal | ModeUpdateTime | ModeOff
)

// normal returns m as [Cache.Mode] shows it: a side is always named.
func (m Mode) normal() Mode {
	switch m &= knownBits; {
	case m&ModeOff != 0:
		return ModeOff
	case m&sideBits == 0:
		return m | ModeServer
	default:
		return m
	}
}

// The four questions that the doors of the cache ask of a normal Mode.

func (m Mode) serverStores() bool    { return m&ModeServer != 0 }
func (m Mode) internalAnswers() bool { return m&ModeServer != 0 && m&ModeNoInternalLookup == 0 }
func (m Mode) internalKeeps() bool   { return m&ModeServer != 0 && m&ModeNoInternalStore == 0 }
func (m Mode) autoClears() bool      { return m&ModeServer != 0 && m&ModeNoAutoClear == 0 }

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
	var parts []string
	for rest, i := m.normal(), 0; i < len(modeNames); i++ {
		if n := modeNames[i]; rest&n.bits == n.bits {
			parts = append(parts, n.name)
			rest &^= n.bits
		}
	}
	return strings.Join(parts, ",")
}
