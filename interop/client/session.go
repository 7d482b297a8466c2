package client

import (
	"encoding/asn1"
	"errors"
)

// secretsOf returns the values in OpenSSL's encoding of a session that nothing may print: the id, the secret, and the
// ticket, by which the server knows the session. They are the fields session_id, master_key and tlsext_tick [10] of the
// SEQUENCE SSL_SESSION_ASN1 in libssl's ssl_asn1.c. An empty session has no secrets.
func secretsOf(der []byte) ([][]byte, error) {
	if len(der) == 0 {
		return nil, nil
	}
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &fields); err != nil {
		return nil, err
	}
	if len(fields) < 5 {
		return nil, errors.New("a session of fewer than five fields")
	}
	secrets := [][]byte{fields[3].Bytes, fields[4].Bytes}
	for _, field := range fields[5:] {
		if field.Class == asn1.ClassContextSpecific && field.Tag == 10 {
			var ticket []byte
			if _, err := asn1.Unmarshal(field.Bytes, &ticket); err != nil {
				return nil, err
			}
			secrets = append(secrets, ticket)
		}
	}
	return secrets, nil
}
