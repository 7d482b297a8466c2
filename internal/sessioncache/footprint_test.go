package sessioncache

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"
	"time"
)

// What the tables hold has no pointers, which is what they are for, and the sizes
// that Footprint counts with.
func TestElementsHaveNoPointers(t *testing.T) {
	for _, of := range []struct {
		element any
		size    uintptr
	}{{slot{}, slotSize}, {cell{}, cellSize}, {place{}, placeSize}, {int32(0), linkSize}} {
		typ := reflect.TypeOf(of.element)
		same(t, "size of a "+typ.Name(), typ.Size(), of.size)
		noPointers(t, typ)
	}
}

func noPointers(t *testing.T, typ reflect.Type) {
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			noPointers(t, typ.Field(i).Type)
		}
	case reflect.Array:
		noPointers(t, typ.Elem())
	case reflect.Bool, reflect.Uint8, reflect.Int32, reflect.Uint32, reflect.Int64, reflect.Uint64:
	default:
		t.Errorf("a %v may be a pointer", typ)
	}
}

// What comes and goes at a block's border does not allocate each time, and only one
// block is kept for it.
func TestSpareBlock(t *testing.T) {
	var of table[slot]
	for range 4 * blockLen {
		of.push()
	}
	for range 2 * blockLen {
		of.pop()
	}
	same(t, "blocks", len(of.blocks), 3)
	allocs := testing.AllocsPerRun(100, func() { of.push(); of.pop(); of.pop(); of.push() })
	same(t, "allocations at a border", allocs, 0)
}

// TestFootprint: what sessions take of the heap is what Footprint says, at once and
// after most of them have gone, but for the blocks that are not full.
func TestFootprint(t *testing.T) {
	for _, pad := range []int{0, cellRoom - 37, cellRoom, 3500} {
		before := heapBytes()
		c := New(Limits{Bytes: 1 << 40}, decode)
		each := 0
		for i := range 14_400 {
			s := made(fmt.Sprintf("%021d", i), int64(i))
			s.pad, s.size = pad, 1
			each = Footprint(len(s.key) + 16 + pad)
			c.Put(s, Part(i%parts))
		}
		covers(t, c, before, each)
		for range c.Expire(time.Unix(14_000, 0)) {
		}
		covers(t, c, before, each)
		for range c.Clear() {
		}
		covers(t, c, before, each)
	}
}

// covers checks that the heap has grown by the sessions' footprint, by more only
// for blocks that are not full, and by not much less.
func covers(t *testing.T, c *Cache[session], before int64, each int) {
	t.Helper()
	const notFull = 120 << 10
	used, counted := heapBytes()-before, int64(c.Len()*each)
	t.Logf("%5d sessions: %8d bytes, counted as %8d", c.Len(), used, counted)
	if used > counted+notFull || used < counted*9/10-notFull {
		t.Errorf("%d sessions take %d bytes, and are counted as %d", c.Len(), used, counted)
	}
	runtime.KeepAlive(c)
}

func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
