package tls12

import (
	"crypto/fips140"
	"crypto/tls"
	"errors"
	"fmt"
)

// checkConfig returns an error if neither side of this engine can honour config.
func checkConfig(config *tls.Config) error {
	switch {
	case config == nil:
		return errors.New("tls12: the tls.Config is nil")
	case fips140.Enabled():
		return errors.New("tls12: this engine has no FIPS 140-3 mode; use crypto/tls")
	case config.MinVersion > tls.VersionTLS12:
		return unable("MinVersion", "it excludes TLS 1.2")
	case config.MaxVersion != 0 && config.MaxVersion < tls.VersionTLS12:
		return unable("MaxVersion", "it excludes TLS 1.2")
	case config.Renegotiation != tls.RenegotiateNever:
		return unable("Renegotiation", "renegotiation is not supported")
	case len(allowedSuites(config)) == 0:
		return unable("CipherSuites", "none of its suites is ECDHE with AES-GCM or ChaCha20-Poly1305")
	case len(allowedGroups(config)) == 0:
		return unable("CurvePreferences", "none of its groups is X25519, P-256, P-384 or P-521")
	}
	return checkProtocols(config.NextProtos)
}

// checkServerConfig is checkConfig for a server.
func checkServerConfig(config *tls.Config) error {
	if err := checkConfig(config); err != nil {
		return err
	}
	switch {
	case config.EncryptedClientHelloKeys != nil:
		return unable("EncryptedClientHelloKeys", "it needs TLS 1.3")
	case config.GetEncryptedClientHelloKeys != nil:
		return unable("GetEncryptedClientHelloKeys", "it needs TLS 1.3")
	case config.WrapSession != nil || config.UnwrapSession != nil:
		return unable("WrapSession and UnwrapSession", "session tickets are not supported")
	}
	return nil
}

// checkClientConfig is checkConfig for a client.
func checkClientConfig(config *tls.Config) error {
	if err := checkConfig(config); err != nil {
		return err
	}
	switch {
	case config.ServerName == "" && !config.InsecureSkipVerify:
		return errors.New("tls12: the tls.Config has neither ServerName nor InsecureSkipVerify")
	case config.EncryptedClientHelloConfigList != nil:
		return unable("EncryptedClientHelloConfigList", "it needs TLS 1.3")
	case config.ClientSessionCache != nil:
		return unable("ClientSessionCache", "it holds tickets; pass the session to Client")
	}
	return nil
}

func unable(field, why string) error {
	return fmt.Errorf("tls12: cannot honour the tls.Config's %s: %s", field, why)
}

// checkProtocols refuses protocols that cannot be encoded (RFC 7301, section 3.1).
func checkProtocols(protocols []string) error {
	total := 0
	for _, protocol := range protocols {
		if protocol == "" || len(protocol) > 255 {
			return unable("NextProtos", "each name must have 1 to 255 bytes")
		}
		total += 1 + len(protocol)
	}
	if total > 65535-2 {
		return unable("NextProtos", "the list is too long")
	}
	return nil
}

// allowedSuites returns the ids of this package's suites that config enables.
func allowedSuites(config *tls.Config) (ids []uint16) {
	for _, s := range aesFirst {
		if allowsSuite(config, s.id) {
			ids = append(ids, s.id)
		}
	}
	return ids
}
