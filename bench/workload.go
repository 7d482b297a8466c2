package main

import (
	"crypto/tls"
)

// A workload is servers that are compared, each visited by a client of its own.
// The first is the peer of the others.
type workload struct {
	name       string
	contenders []contender
}

// A contender is a server of a kind, and the client that visits it.
type contender struct {
	name, kind string
	newClient  func() client
}

// resumptions are the workloads of compareResumed.
func resumptions(cert *tls.Certificate) []workload {
	const chain = ", client chain of two RSA-2048 certificates"
	byTicket := func(version uint16, cert *tls.Certificate, curves ...tls.CurveID) func() client {
		return func() client {
			config := newConfig(version, cert)
			config.CurvePreferences = curves
			return ticketClient{config}
		}
	}
	byID := func(cert *tls.Certificate) func() client {
		return func() client { return newIDClient(newConfig(tls.VersionTLS12, cert)) }
	}
	all := func(newClient func() client) (all []contender) {
		for _, kind := range []string{ticketKind, configKind, memoryKind, serverKind, boltKind} {
			all = append(all, contender{kind, kind, newClient})
		}
		return all
	}
	ids := func(cert *tls.Certificate) []contender {
		return []contender{{idKind, idKind, byID(cert)}, {serverIDKind, serverIDKind, byID(cert)}}
	}
	return []workload{
		{"TLS 1.3", all(byTicket(tls.VersionTLS13, nil))},
		{"TLS 1.2", append(all(byTicket(tls.VersionTLS12, nil)), ids(nil)...)},
		{"TLS 1.3" + chain, all(byTicket(tls.VersionTLS13, cert))},
		{"TLS 1.2" + chain, append(all(byTicket(tls.VersionTLS12, cert)), ids(cert)...)},
		{"TLS 1.2 beside TLS 1.3 with X25519", append([]contender{
			{"crypto/tls, TLS 1.3", ticketKind, byTicket(tls.VersionTLS13, nil, tls.X25519)},
			{"crypto/tls, TLS 1.2", ticketKind, byTicket(tls.VersionTLS12, nil)},
		}, ids(nil)...)},
	}
}
