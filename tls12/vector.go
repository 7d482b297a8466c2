package tls12

import "golang.org/x/crypto/cryptobyte"

// usualList is enough for the elements of most lists.
const usualList = 16

// readList reads elements into to until list is empty.
func readList[T any](list cryptobyte.String, to *[]T, read func(*cryptobyte.String, *T) bool) bool {
	if !list.Empty() {
		*to = make([]T, 0, usualList)
	}
	var one T // escapes, so one serves all elements
	for !list.Empty() {
		if !read(&list, &one) {
			return false
		}
		*to = append(*to, one)
	}
	return true
}

// readCertificate reads a certificate and refuses an empty one.
func readCertificate(s *cryptobyte.String, to *[]byte) bool {
	return s.ReadUint24LengthPrefixed((*cryptobyte.String)(to)) && len(*to) > 0
}

// readName reads a distinguished name and refuses an empty one.
func readName(s *cryptobyte.String, to *[]byte) bool {
	return s.ReadUint16LengthPrefixed((*cryptobyte.String)(to)) && len(*to) > 0
}

// readProtocol reads the name of an application protocol and refuses an empty one.
func readProtocol(s *cryptobyte.String, to *string) bool {
	var name cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&name) || name.Empty() {
		return false
	}
	*to = string(name)
	return true
}

func addBytes(v []byte) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) { b.AddBytes(v) }
}

func addUint16s(list []uint16) cryptobyte.BuilderContinuation {
	return func(b *cryptobyte.Builder) {
		for _, v := range list {
			b.AddUint16(v)
		}
	}
}
