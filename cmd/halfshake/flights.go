package main

import (
	"crypto/tls"
	"slices"
)

// A flight is what one side sends before it waits for the other.
type flight struct {
	FromClient bool
	Messages   []message
}

// A message is one message of the handshake. It is spared if a full handshake sends it
// and this one did not.
type message struct {
	Name   string
	Spared bool
}

// Flights draws the handshake as these engines make it: in TLS 1.3 (RFC 8446,
// section 2) or in TLS 1.2 with a Diffie-Hellman key exchange (RFC 5246, 7.3).
func (v *handshakeView) Flights() []flight {
	if v.Version == tls.VersionTLS13 {
		return v.flights13()
	}
	return v.flights12()
}

func (v *handshakeView) flights13() []flight {
	waits := v.Asked && !v.Resumed // the ticket, for the client's certificate
	all := []flight{
		fromClient(sent(v.hello())),
		fromServer(sent("ServerHello", "EncryptedExtensions"), v.inFull(v.Asked, "CertificateRequest"),
			v.inFull(true, "Certificate", "CertificateVerify"), sent("Finished"), sentIf(v.Kept && !waits, "NewSessionTicket")),
		fromClient(v.inFull(v.Asked, "Certificate"), v.inFull(v.ClientChain.Bytes > 0, "CertificateVerify"), sent("Finished")),
	}
	if v.Retried {
		all = append([]flight{fromClient(sent("ClientHello")), fromServer(sent("HelloRetryRequest"))}, all...)
	}
	if v.Kept && waits {
		all = append(all, fromServer(sent("NewSessionTicket")))
	}
	return all
}

func (v *handshakeView) flights12() []flight {
	ticket := sentIf(v.Kept && v.Engine == engineCryptoTLS, "NewSessionTicket")
	end := append(ticket, sent("ChangeCipherSpec", "Finished")...)
	hello := fromClient(sent(v.hello()))
	key := fromClient(v.inFull(v.Asked, "Certificate"), v.inFull(true, "ClientKeyExchange"),
		v.inFull(v.ClientChain.Bytes > 0, "CertificateVerify"), sent("ChangeCipherSpec", "Finished"))
	proof := [][]message{sent("ServerHello"), v.inFull(true, "Certificate", "ServerKeyExchange"),
		v.inFull(v.Asked, "CertificateRequest"), v.inFull(true, "ServerHelloDone")}
	if v.Resumed {
		return []flight{hello, fromServer(append(proof, end)...), key}
	}
	return []flight{hello, fromServer(proof...), key, fromServer(end)}
}

func (v *handshakeView) hello() string {
	switch v.ResumedBy {
	case "psk":
		return "ClientHello with pre_shared_key"
	case "ticket":
		return "ClientHello with the ticket"
	case "session-id":
		return "ClientHello with the session id"
	}
	return "ClientHello"
}

// inFull returns messages that only a full handshake sends, if it sends them at all.
func (v *handshakeView) inFull(at bool, names ...string) []message {
	messages := sentIf(at, names...)
	for i := range messages {
		messages[i].Spared = v.Resumed
	}
	return messages
}

func sentIf(at bool, names ...string) []message {
	if !at {
		return nil
	}
	return sent(names...)
}

func sent(names ...string) []message {
	messages := make([]message, len(names))
	for i, name := range names {
		messages[i].Name = name
	}
	return messages
}

func fromClient(parts ...[]message) flight { return flight{true, slices.Concat(parts...)} }
func fromServer(parts ...[]message) flight { return flight{false, slices.Concat(parts...)} }
