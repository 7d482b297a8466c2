package client

import (
	"encoding/asn1"
	"errors"
)

// secretsOf returns the values in OpenSSL's encoding of a session that nothing may print: its id, its secret, and its
// ticket, which is the id that the server knows it by. They are, of the SEQUENCE SSL_SESSION_ASN1 in libssl's
// ssl_asn1.c, the fields session_id, master_key and tlsext_tick [10]. No session has none.
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
