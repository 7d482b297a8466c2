package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// endsSoon is how long before its expiry the server warns about a certificate. For a
// short-lived certificate it is a tenth of its lifetime.
const endsSoon = 14 * 24 * time.Hour

// warnOfCertificate logs why clients refuse a server's certificate, now or soon. The
// server starts anyway, because its clients may check less.
func warnOfCertificate(log *slog.Logger, file string, pair tls.Certificate, now time.Time) {
	for _, warning := range certificateWarnings(pair, now) {
		log.Warn(warning, "cert", file, "from", pair.Leaf.NotBefore, "until", pair.Leaf.NotAfter)
	}
}

func certificateWarnings(pair tls.Certificate, now time.Time) (warnings []string) {
	leaf := pair.Leaf
	warn := func(when bool, warning string) {
		if when {
			warnings = append(warnings, warning)
		}
	}
	left := leaf.NotAfter.Sub(now)
	warn(now.Before(leaf.NotBefore), "clients refuse the server's certificate: it is not valid yet; check this machine's clock, or use another certificate until then")
	warn(left < 0, "clients refuse the server's certificate: it has expired; renew it and send SIGHUP")
	warn(left >= 0 && left < min(endsSoon, leaf.NotAfter.Sub(leaf.NotBefore)/10), "the server's certificate expires soon; renew it and send SIGHUP")
	warn(!namesHost(leaf), "clients refuse the server's certificate: it names no host; get one with the names that clients use as subject alternative names")
	warn(!isForServers(leaf), "clients refuse the server's certificate: its extended key usage is not for servers; get one with serverAuth")
	warn(leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0, "clients refuse the server's certificate: its key usage does not let it sign; get one with digitalSignature")
	warn(hasExpired(pair.Certificate[1:], now), "clients refuse the server's certificate: another one in its chain has expired; get the current chain from the authority")
	return warnings
}

// namesHost reports whether a certificate has a name of a kind that identifies a
// server. Clients ignore the common name (RFC 9525 section 2).
func namesHost(leaf *x509.Certificate) bool {
	return len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.URIs) > 0
}

// isForServers reports whether the extended key usage, if there is one, includes
// servers (RFC 5280 section 4.2.1.12).
func isForServers(leaf *x509.Certificate) bool {
	for _, usage := range leaf.ExtKeyUsage {
		if usage == x509.ExtKeyUsageServerAuth || usage == x509.ExtKeyUsageAny {
			return true
		}
	}
	return len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) == 0
}

func hasExpired(chain [][]byte, now time.Time) bool {
	for _, der := range chain {
		if cert, err := x509.ParseCertificate(der); err == nil && now.After(cert.NotAfter) {
			return true
		}
	}
	return false
}

// warnOfKeyMode logs that other users can read or change a private key. The server
// starts anyway, because other programs may need the file as it is.
func warnOfKeyMode(log *slog.Logger, file string) {
	info, err := os.Stat(file)
	if err != nil {
		return // the key has already been read
	}
	if mode := info.Mode().Perm(); mode&exposedMode != 0 {
		log.Warn("other users of this machine can read or change the private key; run: chmod o=,g-w "+file, "key", file, "mode", fmt.Sprintf("%04o", mode))
	}
}
