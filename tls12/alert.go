package tls12

import (
	"crypto/tls"
	"fmt"
	"net"
)

// The alerts that this package sends (RFC 5246, section 7.2, and the documents of
// the extensions).
const (
	alertCloseNotify            tls.AlertError = 0
	alertUnexpectedMessage      tls.AlertError = 10
	alertBadRecordMAC           tls.AlertError = 20
	alertRecordOverflow         tls.AlertError = 22
	alertHandshakeFailure       tls.AlertError = 40
	alertBadCertificate         tls.AlertError = 42
	alertUnsupportedCertificate tls.AlertError = 43
	alertCertificateExpired     tls.AlertError = 45
	alertIllegalParameter       tls.AlertError = 47
	alertUnknownCA              tls.AlertError = 48
	alertDecodeError            tls.AlertError = 50
	alertDecryptError           tls.AlertError = 51
	alertProtocolVersion        tls.AlertError = 70
	alertInternalError          tls.AlertError = 80
	alertInappropriateFallback  tls.AlertError = 86
	alertNoRenegotiation        tls.AlertError = 100
	alertMissingExtension       tls.AlertError = 109
	alertUnsupportedExtension   tls.AlertError = 110
	alertUnrecognizedName       tls.AlertError = 112
	alertNoApplicationProtocol  tls.AlertError = 120
)

const (
	levelWarning = 1
	levelFatal   = 2
)

// A failure ends the connection: alert tells the peer why, and err the caller.
type failure struct {
	alert tls.AlertError
	err   error
}

func (f *failure) Error() string   { return f.err.Error() }
func (f *failure) Unwrap() []error { return []error{f.alert, f.err} }

// fail returns a failure whose error is formatted as by fmt.Errorf.
func fail(alert tls.AlertError, format string, args ...any) error {
	return &failure{alert, fmt.Errorf("tls12: "+format, args...)}
}

// level returns the level at which this package sends an alert.
func level(alert tls.AlertError) byte {
	if alert == alertCloseNotify || alert == alertNoRenegotiation {
		return levelWarning
	}
	return levelFatal
}

// localError returns the error of a connection that this side ended with an alert.
func localError(f *failure) error { return &net.OpError{Op: "local error", Err: f} }

// remoteError returns the error of a connection that the peer ended with an alert.
func remoteError(alert tls.AlertError) error { return &net.OpError{Op: "remote error", Err: alert} }
