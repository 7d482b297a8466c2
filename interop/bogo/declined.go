package main

import (
	"crypto/tls"
	"slices"
	"strings"
	"sync"
)

// rank returns the class's index in the order in which classes claim a test.
func (c class) rank() int { return slices.Index(classes, c) }

// declinedTable lists the flags that ask for features that the engine lacks, and why it
// lacks them.
var declinedTable = []struct {
	class    class
	sentence string
	flags    string
}{
	{classDTLS, "the engine speaks over streams only", "-dtls -srtp-profiles -mtu -initial-timeout-duration-ms -private-key-delay-ms"},
	{classQUIC, "QUIC has TLS 1.3 only", "-quic -quic-transport-params -expect-quic-transport-params -quic-use-legacy-codepoint -quic-early-data-context"},

	{classTLS13, "early data is in TLS 1.3 only", `-enable-early-data -expect-ticket-supports-early-data
		-expect-accept-early-data -expect-reject-early-data -expect-no-offer-early-data
		-expect-early-data-reason -early-write-after-message`},
	{classTLS13, "encrypted ClientHellos are in TLS 1.3 only", `-enable-ech-grease -reject-unusable-ech-config
		-ech-server-config -ech-server-key -ech-is-retry-config -ech-config-list
		-expect-ech-accept -expect-ech-retry-configs -expect-no-ech-retry-configs -expect-ech-name-override
		-expect-no-ech-name-override -fail-early-callback-ech-rewind -expect-no-server-name`},
	{classTLS13, "key shares and HelloRetryRequest are in TLS 1.3 only", `-key-shares -no-key-shares
		-server-supported-groups-hint -curves-flags -expect-hrr -expect-no-hrr`},
	{classTLS13, "keys are updated in TLS 1.3 only", "-key-update -key-update-before-read"},
	{classTLS13, "traffic secrets are in TLS 1.3 only", "-export-traffic-secrets"},
	{classTLS13, "the age of a ticket is sent in TLS 1.3 only", "-expect-ticket-age-skew"},
	{classTLS13, "imported pre-shared keys (RFC 9258) are in TLS 1.3 only", `-new-psk-credential -psk-importer-key
		-psk-importer-identity -psk-importer-context -psk-importer-sha256 -psk-importer-sha384`},
	{classTLS13, "compressed certificates (RFC 8879) are in TLS 1.3 only", "-install-cert-compression-algs -install-one-cert-compression-alg"},
	{classTLS13, "delegated credentials (RFC 9345) are in TLS 1.3 only", "-new-delegated-credential -delegated-credential"},

	{classCBC, "splitting the first record is for CBC", "-cbc-record-splitting -partial-write"},

	{classTickets, "the engine neither issues nor accepts tickets", `-ticket-key -use-ticket-callback -use-ticket-aead-callback
		-renew-ticket -skip-ticket -expect-ticket-renewal`},
	{classTickets, "only a ticket says how long it lives, so that a client would drop it", "-resumption-delay"},

	{classRenego, "the engine never renegotiates", `-renegotiate-once -renegotiate-freely -renegotiate-ignore
		-renegotiate-explicit -forbid-renegotiation-after-handshake -expect-total-renegotiations`},
	{classRenego, "the engine talks to servers without RFC 5746, which only renegotiation makes unsafe, as crypto/tls does", "-no-legacy-server-connect -expect-no-secure-renegotiation"},

	{classBoring, "raw public keys (RFC 7250); crypto/tls has none either", `-new-rpk-credential -accepted-peer-cert-types
		-available-client-cert-types -expect-peer-certificate-type -expect-peer-rpk-sha256`},
	{classBoring, "application settings (ALPS)", "-defer-alps -application-settings -expect-peer-application-settings -alps-use-new-codepoint"},
	{classBoring, "Channel ID", "-enable-channel-id -send-channel-id -expect-channel-id"},
	{classBoring, "NPN, the forerunner of ALPN", `-advertise-npn -advertise-empty-npn -expect-next-proto -expect-no-next-proto
		-select-next-proto -select-empty-next-proto`},
	{classBoring, "passwords as keys (SPAKE2+)", "-new-spake2plusv1-credential -pake-context -pake-client-id -pake-server-id -pake-password -wrong-pake-role"},
	{classBoring, "pre-shared keys in TLS 1.2 (RFC 4279)", "-psk -psk-identity"},
	{classBoring, "trust anchor identifiers", `-requested-trust-anchors -available-trust-anchors -expect-peer-match-trust-anchor
		-expect-no-peer-match-trust-anchor -expect-peer-available-trust-anchors -cert-properties`},
	{classBoring, "choosing a certificate by its issuer's name", "-must-match-issuer"},
	{classBoring, "false start (RFC 7918)", "-false-start -allow-false-start-without-alpn -handshake-twice"},
	{classBoring, "a list of signatures to accept that an application sets", "-expect-peer-verify-pref"},
	{classBoring, "policies of compliance", "-fips-202205 -wpa-202304 -cnsa-202407 -cnsa1-202603 -cnsa2-202603"},
	{classBoring, "a second process that makes a part of the handshake, and its hints", "-handshake-hints -allow-hint-mismatch -handshaker-resume -handshaker-path"},
	{classBoring, "a certificate's digest kept in place of the certificate", "-retain-only-sha256-client-cert -expect-sha256-client-cert"},
	{classBoring, "extensions in random order, and GREASE in what is sent", "-permute-extensions -enable-grease"},
	{classBoring, "sessions that resume under another name", "-resumption-across-names-enabled -expect-resumable-across-names -expect-not-resumable-across-names"},
	{classBoring, "padding of the server's flight", "-request-server-padding -expect-server-sent-requested-padding -server-supports-padding"},
	{classBoring, "a workaround for JDK 11", "-jdk11-workaround"},
	{classBoring, "a callback that may refuse a client early, with any error", "-fail-early-callback -fail-ddos-callback"},
	{classBoring, "SSL_peek", "-peek-then-read"},
	{classBoring, "reading while a write is unfinished, on one thread", "-read-with-unfinished-write"},
	{classBoring, "alerts that an application sends", "-send-alert"},
	{classBoring, "a largest record that an application sets", "-max-send-fragment"},
	{classBoring, "a largest certificate message that an application sets; the engine's is 64 KiB, always", "-max-cert-list"},
	{classBoring, "a server that does not say whether it used the name", "-no-server-name-ack"},
	{classBoring, "a server that selects an empty protocol", "-select-empty-alpn"},
	{classBoring, "a client that takes a protocol which it did not offer", "-allow-unknown-alpn-protos"},
	{classBoring, "a client that falls back to a lower version and signals it (RFC 7507)", "-fallback-scsv"},
	{classBoring, "a server's order of suites that an application sets", "-server-preference"},
}

// declinedFlags is the table, indexed by flag.
var declinedFlags = sync.OnceValue(func() map[string]declined {
	all := make(map[string]declined)
	for _, row := range declinedTable {
		for _, name := range strings.Fields(row.flags) {
			all[name] = declined{Class: row.class, Sentence: row.sentence, By: name}
		}
	}
	return all
})

// declinedPrefixes are prefixes of flags for features that the shim lacks.
var declinedPrefixes = []struct {
	prefix string
	declined
}{
	{"-on-retry-", declined{Class: classTLS13, Sentence: "a connection is retried when early data is rejected"}},
	{"-on-shim-", declined{Class: classBoring, Sentence: "a second process that makes a part of the handshake, and its hints"}},
	{"-on-handshaker-", declined{Class: classBoring, Sentence: "a second process that makes a part of the handshake, and its hints"}},
}

// declinedFlag returns why a flag is declined, if it is.
func declinedFlag(name string) (declined, bool) {
	for _, row := range declinedPrefixes {
		if strings.HasPrefix(name, row.prefix) {
			d := row.declined
			d.By = row.prefix + "*"
			return d, true
		}
	}
	d, ok := declinedFlags()[name]
	return d, ok
}

// engineSchemes are the signature schemes that the engine always accepts.
var engineSchemes = []tls.SignatureScheme{
	tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512,
	tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
	tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512, tls.Ed25519,
}

func subset(some []uint16, of []tls.SignatureScheme) bool {
	return !slices.ContainsFunc(some, func(s uint16) bool { return !slices.Contains(of, tls.SignatureScheme(s)) })
}

// declineValues declines flags because of their values.
func (inv *invocation) declineValues() {
	for _, o := range []*options{&inv.initial, &inv.resume} {
		for _, rule := range []struct {
			applies bool
			declined
		}{
			{o.minVersion > tls.VersionTLS12, declined{Class: classTLS13, Sentence: "the test excludes TLS 1.2", By: "-min-version"}},
			{o.want.version > tls.VersionTLS12, declined{Class: classTLS13, Sentence: "that version is to be agreed on", By: "-expect-version"}},
			{o.noTLS12 && !o.noTLS13, declined{Class: classTLS13, Sentence: "the test excludes TLS 1.2", By: "-no-tls12"}},
			{o.maxVersion != 0 && o.maxVersion < tls.VersionTLS12, declined{Class: classTLS1, Sentence: "the test excludes TLS 1.2", By: "-max-version"}},
			{o.noTLS12 && o.noTLS13 && !(o.noTLS1 && o.noTLS11), declined{Class: classTLS1, Sentence: "the test excludes TLS 1.2", By: "-no-tls12"}},
			{!subset(o.verifySchemes, engineSchemes), declined{Class: classBoring, Sentence: "the test accepts signatures that the engine refuses", By: "-verify-prefs"}},
			{strings.Contains(o.ciphers, "CBC") || strings.Contains(o.ciphers, "3DES"), declined{Class: classCBC, Sentence: "the test enables such suites", By: "-cipher"}},
		} {
			if rule.applies {
				inv.decline(rule.declined)
			}
		}
	}
}
