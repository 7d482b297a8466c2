package sessionstate

import (
	"crypto/tls"

	"golang.org/x/crypto/cryptobyte"
)

// Build encodes a session that crypto/tls did not make as crypto/tls would, so that
// either engine can resume it. It does not allow early data.
func Build(st *State) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(st.Version)
	b.AddUint8(typeServer)
	b.AddUint16(st.CipherSuite)
	b.AddUint64(st.CreatedAt)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(st.Secret) })
	b.AddUint24LengthPrefixed(func(*cryptobyte.Builder) {}) // extra
	addBool(&b, st.ExtendedMasterSecret)
	addBool(&b, false) // early data
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, der := range st.Certificates {
			addCertificate(b, der)
			b.AddUint16(0) // extensions
		}
	})
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, chain := range st.Chains {
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, der := range chain {
					addCertificate(b, der)
				}
			})
		}
	})
	if st.Version < tls.VersionTLS13 {
		b.AddUint16(uint16(st.CurveID))
	}
	return b.Bytes()
}

func addCertificate(b *cryptobyte.Builder, der []byte) {
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
}

func addBool(b *cryptobyte.Builder, v bool) {
	if v {
		b.AddUint8(1)
	} else {
		b.AddUint8(0)
	}
}
