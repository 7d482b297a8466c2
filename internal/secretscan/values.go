package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
)

// minValue is the shortest value that can be looked for: the index is keyed by
// the first eight bytes.
const minValue = 8

// readValues reads the hexadecimal values in dir/secrets/*.txt, each once.
func readValues(dir string) ([][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "secrets", "*.txt"))
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, name := range names {
		if err := readValueFile(name, seen); err != nil {
			return nil, err
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("no value is recorded in %s: the tests must record the ids and secrets they make (internal/testsecrets), or there is nothing to search for", filepath.Join(dir, "secrets"))
	}
	values := make([][]byte, 0, len(seen))
	for v := range seen {
		values = append(values, []byte(v))
	}
	slices.SortFunc(values, bytes.Compare)
	return values, nil
}

func readValueFile(name string, seen map[string]bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		value := make([]byte, hex.DecodedLen(len(lines.Bytes())))
		// The decoder's own error would quote a byte of the line.
		if _, err := hex.Decode(value, lines.Bytes()); err != nil || len(value) < minValue {
			return fmt.Errorf("%s:%d: not a hexadecimal value of at least %d bytes", name, n, minValue)
		}
		seen[string(value)] = true
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// index finds the values that begin with given eight bytes.
type index struct {
	byHead map[uint64][][]byte
	// heads is a bit set over a hash of the heads: it answers no for nearly
	// every window, without a look at the map.
	heads []uint64
	shift int
}

func newIndex(values [][]byte) *index {
	logSize := bits.Len(uint(64 * len(values)))
	x := &index{
		byHead: make(map[uint64][][]byte, len(values)),
		heads:  make([]uint64, 1+1<<logSize/64),
		shift:  64 - logSize,
	}
	for _, v := range values {
		head := binary.BigEndian.Uint64(v)
		x.byHead[head] = append(x.byHead[head], v)
		h := x.hash(head)
		x.heads[h/64] |= 1 << (h % 64)
	}
	return x
}

func (x *index) hash(head uint64) uint64 {
	return head * 0x9e3779b97f4a7c15 >> x.shift
}

// candidates returns the values whose first eight bytes are head.
func (x *index) candidates(head uint64) [][]byte {
	h := x.hash(head)
	if x.heads[h/64]&(1<<(h%64)) == 0 {
		return nil
	}
	return x.byHead[head]
}
