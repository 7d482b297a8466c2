package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// options are the flags' settings for one connection.
type options struct {
	port, shimID, resumeCount int
	ipv6, server              bool

	// For the shim itself: the path of the settings, which ends in the test's name, the
	// path of the configuration, and the file that records skipped tests.
	settings, config, skips string
	runDisabled             bool

	minVersion, maxVersion        int
	noTLS1, noTLS11               bool
	noTLS12, noTLS13              bool
	ciphers                       string
	curves, verifySchemes         []uint16
	hostName                      string
	alpn, selectALPN              string
	declineALPN, rejectALPN       bool
	trustCert, clientCAs          string
	verifyPeer, verifyFail        bool
	reverifyOnResume, requireCert bool
	failCertCallback              bool
	useOCSPCallback, setOCSP      bool
	failOCSP                      bool

	fallback    credential   // the one set without -new-x509-credential
	credentials []credential // the others, in order of preference

	async, implicitHandshake          bool
	extraHandshake                    bool
	shimWritesFirst, shimShutsDown    bool
	initialWrite                      string
	repeatInitialWrite, readSize      int
	differentRecordSizes              bool
	exportLength                      int
	exportLabel, exportContext        string
	useExportContext, tlsUnique       bool
	checkCloseNotify, exporterInReads bool

	want expectations
}

// expectations are what the shim must check.
type expectations struct {
	sessionMiss, extendedMaster, noSession bool
	sessionID, noSessionID                 bool
	serverName, alpn, advertisedALPN       string
	ocsp, timestamps, peerCertificate      string
	clientCAs, certificateTypes            string
	noPeerCertificate                      bool
	secureRenegotiation                    bool
	version, scheme, curve                 int
	cipher, cipherAES, cipherNoAES         int
	selected                               *int
}

// A flagKind says how to set a flag that the shim implements.
type flagKind struct {
	value bool // an argument follows
	set   func(o *options, value string) error
}

func yes(field func(*options) *bool) flagKind {
	return flagKind{false, func(o *options, _ string) error {
		*field(o) = true
		return nil
	}}
}

func text(field func(*options) *string) flagKind {
	return flagKind{true, func(o *options, v string) error {
		*field(o) = v
		return nil
	}}
}

func number(field func(*options) *int) flagKind {
	return flagKind{true, func(o *options, v string) (err error) {
		*field(o), err = strconv.Atoi(v)
		return err
	}}
}

func numbers(field func(*options) *[]uint16) flagKind {
	return flagKind{true, func(o *options, v string) error {
		n, err := strconv.ParseUint(v, 10, 16)
		*field(o) = append(*field(o), uint16(n))
		return err
	}}
}

func encoded(field func(*options) *string) flagKind {
	return flagKind{true, func(o *options, v string) error {
		b, err := base64.StdEncoding.DecodeString(v)
		*field(o) = string(b)
		return err
	}}
}

// ignored is the kind of a flag that needs no action.
func ignored(value bool) flagKind {
	return flagKind{value, func(*options, string) error { return nil }}
}

// credential returns the credential to which credential flags now apply.
func (o *options) credential() *credential {
	if len(o.credentials) > 0 {
		return &o.credentials[len(o.credentials)-1]
	}
	return &o.fallback
}

// flagKinds are the flags that the shim implements.
var flagKinds = map[string]flagKind{
	"-port":           number(func(o *options) *int { return &o.port }),
	"-shim-id":        number(func(o *options) *int { return &o.shimID }),
	"-ipv6":           yes(func(o *options) *bool { return &o.ipv6 }),
	"-server":         yes(func(o *options) *bool { return &o.server }),
	"-resume-count":   number(func(o *options) *int { return &o.resumeCount }),
	"-write-settings": text(func(o *options) *string { return &o.settings }),

	// Set by scripts/bogo.sh.
	"-config":       text(func(o *options) *string { return &o.config }),
	"-skips":        text(func(o *options) *string { return &o.skips }),
	"-run-disabled": yes(func(o *options) *bool { return &o.runDisabled }),

	"-min-version": number(func(o *options) *int { return &o.minVersion }),
	"-max-version": number(func(o *options) *int { return &o.maxVersion }),
	"-no-tls1":     yes(func(o *options) *bool { return &o.noTLS1 }),
	"-no-tls11":    yes(func(o *options) *bool { return &o.noTLS11 }),
	"-no-tls12":    yes(func(o *options) *bool { return &o.noTLS12 }),
	"-no-tls13":    yes(func(o *options) *bool { return &o.noTLS13 }),
	"-cipher":      text(func(o *options) *string { return &o.ciphers }),
	"-curves":      numbers(func(o *options) *[]uint16 { return &o.curves }),

	"-verify-prefs": numbers(func(o *options) *[]uint16 { return &o.verifySchemes }),

	"-host-name":      text(func(o *options) *string { return &o.hostName }),
	"-advertise-alpn": text(func(o *options) *string { return &o.alpn }),
	"-select-alpn":    text(func(o *options) *string { return &o.selectALPN }),
	"-decline-alpn":   yes(func(o *options) *bool { return &o.declineALPN }),
	"-reject-alpn":    yes(func(o *options) *bool { return &o.rejectALPN }),

	"-trust-cert":                     text(func(o *options) *string { return &o.trustCert }),
	"-use-client-ca-list":             text(func(o *options) *string { return &o.clientCAs }),
	"-verify-peer":                    yes(func(o *options) *bool { return &o.verifyPeer }),
	"-verify-fail":                    yes(func(o *options) *bool { return &o.verifyFail }),
	"-reverify-on-resume":             yes(func(o *options) *bool { return &o.reverifyOnResume }),
	"-require-any-client-certificate": yes(func(o *options) *bool { return &o.requireCert }),
	"-fail-cert-callback":             yes(func(o *options) *bool { return &o.failCertCallback }),
	"-use-ocsp-callback":              yes(func(o *options) *bool { return &o.useOCSPCallback }),
	"-set-ocsp-in-callback":           yes(func(o *options) *bool { return &o.setOCSP }),
	"-fail-ocsp-callback":             yes(func(o *options) *bool { return &o.failOCSP }),

	"-new-x509-credential": {false, func(o *options, _ string) error {
		o.credentials = append(o.credentials, credential{})
		return nil
	}},
	"-cert-file":              text(func(o *options) *string { return &o.credential().certFile }),
	"-key-file":               text(func(o *options) *string { return &o.credential().keyFile }),
	"-ocsp-response":          encoded(func(o *options) *string { return &o.credential().ocsp }),
	"-signed-cert-timestamps": encoded(func(o *options) *string { return &o.credential().timestamps }),
	"-signing-prefs":          numbers(func(o *options) *[]uint16 { return &o.credential().schemes }),

	"-async":                        yes(func(o *options) *bool { return &o.async }),
	"-implicit-handshake":           yes(func(o *options) *bool { return &o.implicitHandshake }),
	"-no-op-extra-handshake":        yes(func(o *options) *bool { return &o.extraHandshake }),
	"-shim-writes-first":            yes(func(o *options) *bool { return &o.shimWritesFirst }),
	"-shim-shuts-down":              yes(func(o *options) *bool { return &o.shimShutsDown }),
	"-shim-initial-write":           text(func(o *options) *string { return &o.initialWrite }),
	"-repeat-shim-initial-write":    number(func(o *options) *int { return &o.repeatInitialWrite }),
	"-read-size":                    number(func(o *options) *int { return &o.readSize }),
	"-write-different-record-sizes": yes(func(o *options) *bool { return &o.differentRecordSizes }),
	"-export-keying-material":       number(func(o *options) *int { return &o.exportLength }),
	"-export-label":                 text(func(o *options) *string { return &o.exportLabel }),
	"-export-context":               text(func(o *options) *string { return &o.exportContext }),
	"-use-export-context":           yes(func(o *options) *bool { return &o.useExportContext }),
	"-use-exporter-between-reads":   yes(func(o *options) *bool { return &o.exporterInReads }),
	"-tls-unique":                   yes(func(o *options) *bool { return &o.tlsUnique }),
	"-check-close-notify":           yes(func(o *options) *bool { return &o.checkCloseNotify }),

	"-expect-session-miss":             yes(func(o *options) *bool { return &o.want.sessionMiss }),
	"-expect-no-session":               yes(func(o *options) *bool { return &o.want.noSession }),
	"-expect-session-id":               yes(func(o *options) *bool { return &o.want.sessionID }),
	"-expect-no-session-id":            yes(func(o *options) *bool { return &o.want.noSessionID }),
	"-expect-extended-master-secret":   yes(func(o *options) *bool { return &o.want.extendedMaster }),
	"-expect-secure-renegotiation":     yes(func(o *options) *bool { return &o.want.secureRenegotiation }),
	"-expect-no-peer-cert":             yes(func(o *options) *bool { return &o.want.noPeerCertificate }),
	"-expect-server-name":              text(func(o *options) *string { return &o.want.serverName }),
	"-expect-alpn":                     text(func(o *options) *string { return &o.want.alpn }),
	"-expect-advertised-alpn":          text(func(o *options) *string { return &o.want.advertisedALPN }),
	"-expect-ocsp-response":            encoded(func(o *options) *string { return &o.want.ocsp }),
	"-expect-signed-cert-timestamps":   encoded(func(o *options) *string { return &o.want.timestamps }),
	"-expect-peer-cert-file":           text(func(o *options) *string { return &o.want.peerCertificate }),
	"-expect-client-ca-list":           text(func(o *options) *string { return &o.want.clientCAs }),
	"-expect-certificate-types":        encoded(func(o *options) *string { return &o.want.certificateTypes }),
	"-expect-peer-signature-algorithm": number(func(o *options) *int { return &o.want.scheme }),
	"-expect-version":                  number(func(o *options) *int { return &o.want.version }),
	"-expect-curve-id":                 number(func(o *options) *int { return &o.want.curve }),
	"-expect-cipher":                   number(func(o *options) *int { return &o.want.cipher }),
	"-expect-cipher-aes":               number(func(o *options) *int { return &o.want.cipherAES }),
	"-expect-cipher-no-aes":            number(func(o *options) *int { return &o.want.cipherNoAES }),
	"-expect-selected-credential": {true, func(o *options, v string) error {
		n, err := strconv.Atoi(v)
		o.want.selected = &n
		return err
	}},

	// Flags that ask for what the engine does anyway, or that concern only BoringSSL's API
	// and nothing visible on a connection.
	"-no-ticket":                     ignored(false), // the engine issues no tickets
	"-enable-ocsp-stapling":          ignored(false), // always on
	"-enable-signed-cert-timestamps": ignored(false), // always on
	"-use-custom-verify-callback":    ignored(false), // the engine has only one way to verify
	"-use-old-client-cert-callback":  ignored(false), // and only one way to choose a certificate
	"-use-early-callback":            ignored(false), // a server's certificate is always chosen by a callback
	"-install-ddos-callback":         ignored(false), // a callback that refuses no connection
	"-decline-ocsp-callback":         ignored(false), // without a configured staple, none is sent
	"-expect-verify-result":          ignored(false), // the outcome is in the handshake's error
	"-expect-msg-callback":           ignored(true),  // a callback that sees each message
	"-handshake-never-done":          ignored(false), // a handshake that never completes fails with an error
}

// set applies one flag.
func (o *options) set(name string, kind flagKind, value string) error {
	if err := kind.set(o, value); err != nil {
		return fmt.Errorf("the value %q of %s: %w", value, name, err)
	}
	return nil
}
