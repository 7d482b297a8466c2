package sessionstate

import (
	"crypto/tls"

	"golang.org/x/crypto/cryptobyte"
)

// Build encodes a server's session that crypto/tls did not make as crypto/tls would, so
// that either engine can resume it. It does not allow early data.
func Build(st *State) ([]byte, error) { return build(st, typeServer) }

// BuildClient is Build for a client's session.
func BuildClient(st *State) ([]byte, error) { return build(st, typeClient) }

func build(st *State, side uint8) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint16(st.Version)
	b.AddUint8(side)
	b.AddUint16(st.CipherSuite)
	b.AddUint64(st.CreatedAt)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(st.Secret) })
	b.AddUint24LengthPrefixed(func(*cryptobyte.Builder) {}) // extra
	addBool(&b, st.ExtendedMasterSecret)
	addBool(&b, false) // early data
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		for i, der := range st.Certificates {
			addCertificate(b, der)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				if i == 0 {
					addExtensions(b, st)
				}
			})
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
	switch {
	case st.Version < tls.VersionTLS13:
		b.AddUint16(uint16(st.CurveID))
	case side == typeClient:
		b.AddUint64(st.UseBy)
		b.AddUint32(st.AgeAdd)
	}
	return b.Bytes()
}

// addExtensions adds what came with the leaf.
func addExtensions(b *cryptobyte.Builder, st *State) {
	if len(st.Staple) > 0 {
		b.AddUint16(statusRequest)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(ocsp)
			b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(st.Staple) })
		})
	}
	if len(st.Timestamps) > 0 {
		b.AddUint16(signedCertificateTimestamps)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, one := range st.Timestamps {
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(one) })
				}
			})
		})
	}
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
