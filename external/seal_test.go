package external

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/testsecrets"
)

func testKey(t testing.TB) *fleetKey {
	t.Helper()
	return &testKeys(noon).keys[0]
}

func TestIDs(t *testing.T) {
	k, other := testKey(t), testKey(t)
	id := k.newID()
	testsecrets.Record(id)
	if len(id) != halfshake.MaxIDSize {
		t.Fatalf("an id of %d bytes", len(id))
	}
	if !k.made(id) || other.made(id) {
		t.Error("an id is not told from another key's")
	}
	for i := range id {
		id[i] ^= 1
		if k.made(id) {
			t.Errorf("an id with byte %d changed is taken for one of ours", i)
		}
		id[i] ^= 1
	}
	for n := range id {
		if k.made(id[:n]) {
			t.Errorf("the first %d bytes of an id are taken for one", n)
		}
	}
	if k.made(append(id, 0)) {
		t.Error("an id with a byte more is taken for one")
	}
	if key := k.name(id); bytes.Contains(key[:], id[:8]) || bytes.Contains(key[:], id[16:24]) {
		t.Error("the store's key shows the id")
	}
}

// The derivations, as a program of another make would do them: HKDF-Expand and
// HMAC with SHA-256, checked with OpenSSL 3.0:
//
//	openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt mode:EXPAND_ONLY
//	  -kdfopt hexkey:000102…1f -kdfopt info:'halfshake external 1 id' HKDF
//	openssl mac -digest SHA256 -macopt hexkey:IDKEY -in SIXTEEN_ZEROS HMAC
func TestDerivationsStayAsTheyAre(t *testing.T) {
	secret := make([]byte, keySize)
	for i := range secret {
		secret[i] = byte(i)
	}
	k := newFleetKey(secret, noon)
	zeros := make([]byte, idRandom)
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"id key":      {derive(secret, "halfshake external 1 id"), "11ceeddbeb512d9bfb2e6e2e34061cdf9a683d082d66252d9b6c544531caf919"},
		"id's MAC":    {k.idMAC(zeros), "015502c58d054cda2822e0ffea059fdb"},
		"store key":   {k.storeKey.mac(zeros), "b0da1c8bfa2dd1226a4461a37a0bf9475cf8af80ef42d8f807e037d3929b80ab"},
		"entry's key": {k.entryKey(Key{7}), "bd71965dd1e48237ba1bb2d2b15abaa47b7da6a2a7ca7f9bd1f62c09cb4637ba"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestSealedValueOpensOnlyWhereItBelongs(t *testing.T) {
	k, other := testKey(t), testKey(t)
	id, elsewhere := k.newID(), k.newID()
	session := make([]byte, 200)
	rand.Read(session)
	testsecrets.Record(id, elsewhere, session)
	key := k.name(id)
	value, err := k.seal(key, session)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := k.seal(key, session); bytes.Equal(again, value) {
		t.Error("the same session is sealed to the same bytes twice: the nonce is not fresh")
	}
	if got, err := k.open(key, value); err != nil || !bytes.Equal(got, session) {
		t.Fatalf("it does not open: %v", err)
	}
	if _, err := k.open(k.name(elsewhere), value); err == nil {
		t.Error("a value that was moved to another key opens")
	}
	if _, err := other.open(key, value); err == nil {
		t.Error("a value opens under another fleet's key")
	}
	for i := range value {
		value[i] ^= 0x10
		if _, err := k.open(key, value); err == nil {
			t.Errorf("a value with byte %d changed opens", i)
		}
		value[i] ^= 0x10
	}
	for n := range value {
		if _, err := k.open(key, value[:n]); err == nil {
			t.Errorf("the first %d bytes of a value open", n)
		}
	}
}

// The store sees one of 26 sizes of a session, none of which is more
// than a quarter too large.
func TestSealedSizes(t *testing.T) {
	k := testKey(t)
	sizes := map[int]bool{}
	for n := halfshake.MaxSessionSize; n >= 0; n -= 61 {
		value, err := k.seal(Key{}, make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		if len(value) > MaxValueSize {
			t.Fatalf("a session of %d bytes makes a value of %d, more than MaxValueSize", n, len(value))
		}
		if got, err := k.open(Key{}, value); err != nil || len(got) != n {
			t.Fatalf("a session of %d bytes does not open: %v", n, err)
		}
		if zeros := len(value) - sealExtra - 2 - n; n > minPadded && zeros*4 > n {
			t.Errorf("a session of %d bytes is padded with %d", n, zeros)
		}
		sizes[len(value)] = true
	}
	if len(sizes) != 26 {
		t.Errorf("%d sizes of values, want 26", len(sizes))
	}
	if value, err := k.seal(Key{}, make([]byte, halfshake.MaxSessionSize)); err != nil || len(value) > MaxValueSize {
		t.Errorf("the largest session: %d bytes, %v", len(value), err)
	}
	if _, err := k.seal(Key{}, make([]byte, halfshake.MaxSessionSize+1)); err == nil {
		t.Error("a session larger than the largest is sealed")
	}
}

func FuzzSealedValue(f *testing.F) {
	secret := bytes.Repeat([]byte{1, 2, 3, 4}, keySize/4)
	k := newFleetKey(secret, noon)
	sealed := func(n int) []byte {
		value, err := k.seal(Key{7}, make([]byte, n))
		if err != nil {
			f.Fatal(err)
		}
		return value
	}
	for _, n := range []int{0, 1, 200, 254, 255, 4000, halfshake.MaxSessionSize} {
		f.Add(sealed(n))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		session, err := k.open(Key{7}, value)
		if err == nil && len(value) != sealExtra+paddedSize(2+len(session), minPadded, maxPadded) {
			t.Fatalf("a value of %d bytes opens to a session of %d", len(value), len(session))
		}
		// The padding inside, as if the seal were broken.
		if session, err := unpad(value); err == nil {
			again := make([]byte, paddedSize(2+len(session), minPadded, maxPadded))
			binary.BigEndian.PutUint16(again, uint16(len(session)))
			copy(again[2:], session)
			if !bytes.Equal(again, value) {
				t.Fatalf("%d bytes unpad to %d that pad otherwise", len(value), len(session))
			}
		}
	})
}
