package main

import "strings"

// A class is a reason why a test of the suite does not apply to the engine. There are no
// others.
type class string

const (
	classDTLS    class = "DTLS"
	classQUIC    class = "QUIC"
	classTLS13   class = "TLS 1.3"
	classTLS1    class = "TLS 1.0/1.1"
	classCBC     class = "CBC, 3DES or RSA key exchange"
	classTickets class = "tickets"
	classRenego  class = "renegotiation"
	classBoring  class = "a BoringSSL-only feature"
)

// classes lists the classes. If several fit a test, the first one claims it.
var classes = []class{classDTLS, classQUIC, classTLS13, classTLS1, classCBC, classTickets, classRenego, classBoring}

// cutClass splits a sentence of the configuration, "class: why".
func cutClass(sentence string) (class, string, bool) {
	for _, c := range classes {
		if why, ok := strings.CutPrefix(sentence, string(c)+": "); ok && why != "" {
			return c, why, true
		}
	}
	return "", "", false
}
