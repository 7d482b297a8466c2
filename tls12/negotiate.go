package tls12

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/halfshake/halfshake/internal/keylog"
)

// This file chooses what a configuration leaves open.

func randOf(config *tls.Config) io.Reader {
	if config.Rand != nil {
		return config.Rand
	}
	return rand.Reader
}

func timeOf(config *tls.Config) time.Time {
	if config.Time != nil {
		return config.Time()
	}
	return time.Now()
}

// allowsTLS13 reports whether crypto/tls would speak TLS 1.3 under the same
// configuration.
func allowsTLS13(config *tls.Config) bool {
	return config.MaxVersion == 0 || config.MaxVersion >= tls.VersionTLS13
}

// groups are the key exchange groups of this package, in its order of preference.
var groups = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

// curves are the implementations of groups.
var curves = map[tls.CurveID]ecdh.Curve{
	tls.X25519:    ecdh.X25519(),
	tls.CurveP256: ecdh.P256(),
	tls.CurveP384: ecdh.P384(),
	tls.CurveP521: ecdh.P521(),
}

// allowedGroups returns the groups that config enables.
func allowedGroups(config *tls.Config) []tls.CurveID {
	if len(config.CurvePreferences) == 0 {
		return groups
	}
	return slices.DeleteFunc(slices.Clone(groups), func(id tls.CurveID) bool {
		return !slices.Contains(config.CurvePreferences, id)
	})
}

// chooseGroup returns the client's first group that config enables, as crypto/tls
// does in TLS 1.2, or zero if there is none.
func chooseGroup(config *tls.Config, offered []tls.CurveID) tls.CurveID {
	allowed := allowedGroups(config)
	for _, id := range offered {
		if slices.Contains(allowed, id) {
			return id
		}
	}
	return 0
}

// chooseProtocol chooses an application protocol in the server's order of
// preference (RFC 7301, section 3.2). As in crypto/tls, a client that offers
// http/1.1 to a server of h2 alone continues without ALPN.
func chooseProtocol(configured, offered []string) (string, error) {
	if len(configured) == 0 || len(offered) == 0 {
		return "", nil
	}
	for _, protocol := range configured {
		if slices.Contains(offered, protocol) {
			return protocol, nil
		}
	}
	if slices.Contains(configured, "h2") && slices.Contains(offered, "http/1.1") {
		return "", nil
	}
	return "", fail(alertNoApplicationProtocol, "no application protocol in common; the client offers %q", offered)
}

// A server's random ends in one of these if the server supports a higher version
// than it selects (RFC 8446, section 4.1.3).
const (
	sentinelTLS12 = "DOWNGRD\x01"
	sentinelTLS11 = "DOWNGRD\x00"
)

// newRandom returns the random of a hello.
func newRandom(config *tls.Config) ([]byte, error) {
	random := make([]byte, randomLen)
	if _, err := io.ReadFull(randOf(config), random); err != nil {
		return nil, fail(alertInternalError, "reading Config.Rand: %w", err)
	}
	return random, nil
}

// logSecret writes a line of the NSS key log format.
func logSecret(config *tls.Config, clientRandom, master []byte) error {
	if config.KeyLogWriter == nil {
		return nil
	}
	if _, err := fmt.Fprintf(keylog.Writer(config.KeyLogWriter), "CLIENT_RANDOM %x %x\n", clientRandom, master); err != nil {
		return fail(alertInternalError, "writing the key log: %w", err)
	}
	return nil
}
