package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// Backends trust these headers from a proxy, so no client may send them. The names are in
// the form that plainName returns.
var (
	reserved = map[string]bool{
		"forwarded": true,

		// The client's identity: RFC 9440 and other names.
		"client-cert": true, "client-cert-chain": true, "x-client-cert": true, "x-client-cert-chain": true,
		"x-client-certificate": true, "x-client-verify": true, "x-client-dn": true, "x-arr-clientcert": true,
		"remote-user": true, "x-remote-user": true, "proxy-client-ip": true, "wl-proxy-client-ip": true,
		"x-real-ip": true, "x-client-ip": true, "x-cluster-client-ip": true, "x-remote-ip": true, "x-remote-addr": true,
		"x-originating-ip": true, "x-original-forwarded-for": true, "x-original-for": true,
		"true-client-ip": true, "cf-connecting-ip": true, "fastly-client-ip": true, "x-envoy-external-address": true,

		// What the client asked for.
		"x-scheme": true, "x-url-scheme": true, "front-end-https": true,
		"x-host": true, "x-original-host": true, "x-http-host-override": true,
		"x-original-proto": true, "x-original-url": true, "x-rewrite-url": true,

		"proxy":          true, // in CGI it becomes HTTP_PROXY, which HTTP clients there obey
		"http2-settings": true, // belongs to an upgrade that is not passed on
	}
	reservedPrefixes = []string{"x-forwarded", "x-ssl-", "ssl-client-", "x-amzn-mtls-clientcert"}

	// framing headers tell the backend where a request ends and whether the connection
	// stays open. net/http writes them itself, so only disguised spellings matter here.
	framing = map[string]bool{
		"connection": true, "content-length": true, "host": true, "keep-alive": true, "te": true,
		"trailer": true, "transfer-encoding": true, "upgrade": true, "expect": true,
	}
)

// strip removes reserved headers, however they are spelled.
func strip(h http.Header) {
	for name := range h {
		if isReserved(name) {
			delete(h, name)
		}
	}
}

// isReserved reports whether the least careful backend would read a name as a reserved
// one. CGI, WSGI, Rack and PHP turn both X_Forwarded_For and X-Forwarded-For into
// HTTP_X_FORWARDED_FOR, so the client's value could join or replace the proxy's.
func isReserved(name string) bool {
	plain := plainName(name)
	if reserved[plain] || framing[plain] && !strings.EqualFold(plain, name) {
		return true
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(plain, prefix) {
			return true
		}
	}
	return false
}

// plainName returns name in lower case, with a hyphen in place of each character that is
// neither a letter nor a digit.
func plainName(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		}
		return '-'
	}, name)
}

// setForwarded sets the headers that say who sent r, and to which host. It overwrites any
// that exist.
func setForwarded(h http.Header, r *http.Request) {
	h.Set("X-Forwarded-Proto", "https") // whatever scheme the client named
	if r.Host != "" {
		h.Set("X-Forwarded-Host", r.Host)
	}
	if client, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		h.Set("X-Forwarded-For", client.Addr().Unmap().WithZone("").String())
	}
}

// isWebSocket reports whether r asks to upgrade to WebSocket, the only upgrade allowed.
// Another protocol, such as h2c, would carry requests past all checks of this package.
func isWebSocket(r *http.Request) bool {
	upgrade := r.Header["Upgrade"]
	return r.ProtoMajor == 1 && r.Method == http.MethodGet && r.ContentLength == 0 &&
		len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}
