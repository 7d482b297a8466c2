package sessioncache

import (
	"bytes"
	"testing"
)

// check fails the test unless everything the cache holds agrees with
// everything else it holds, and with the limits: every slot is found under its key,
// has a place in one part and a chain of cells of its own, and nothing else is in
// the tables, nor beyond their ends.
func (c *Cache[V]) check(t testing.TB) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store.check(t)
}

func (s *store) check(t testing.TB) {
	t.Helper()
	checkTable(t, "slots", &s.slots)
	checkTable(t, "cells", &s.cells)
	checkTable(t, "heads", &s.index.heads)
	s.checkIndex(t)
	s.checkCells(t)
	for p := range Part(parts) {
		s.checkPart(t, p)
	}
	if n, _ := s.from(Unproved); n != s.len() {
		t.Fatalf("%d sessions in the parts, %d slots", n, s.slots.n)
	}
	s.checkLimits(t)
}

func (s *store) checkLimits(t testing.TB) {
	t.Helper()
	if n := s.len(); s.limits.Count > 0 && n > s.limits.Count {
		t.Fatalf("%d sessions, limit %d", n, s.limits.Count)
	}
	if n := s.bytes(); n > s.limits.Bytes {
		t.Fatalf("%d bytes, limit %d", n, s.limits.Bytes)
	}
	count, bytes := s.from(Proved)
	if s.limits.Count > 0 && count > s.limits.Count*4/5 {
		t.Fatalf("%d protected sessions of %d", count, s.limits.Count)
	}
	if bytes > s.limits.Bytes/5*4+s.limits.Bytes%5*4/5 {
		t.Fatalf("%d protected bytes of %d", bytes, s.limits.Bytes)
	}
}

// checkTable checks that the blocks are those in use and at most one more, and that
// everything beyond the last element is zero.
func checkTable[T comparable](t testing.TB, name string, table *table[T]) {
	t.Helper()
	room, n := len(table.blocks)*blockLen, int(table.n)
	if n < 0 || room < n || room-n >= 2*blockLen {
		t.Fatalf("%s: %d elements in %d blocks", name, n, len(table.blocks))
	}
	var zero T
	for i := n; i < room; i++ {
		if table.blocks[i/blockLen][i%blockLen] != zero {
			t.Fatalf("%s: %d, beyond the last of %d, is not zero", name, i, n)
		}
	}
	for _, block := range table.blocks[len(table.blocks):cap(table.blocks)] {
		if block != nil {
			t.Fatalf("%s: a block that was given up is still reachable", name)
		}
	}
}

func (s *store) checkIndex(t testing.TB) {
	t.Helper()
	heads, slots := s.index.heads.n, s.slots.n
	if heads < max(slots, 1) || heads > max(2*slots+1, 1) {
		t.Fatalf("index: %d chains for %d slots", heads, slots)
	}
	seen := make([]bool, slots)
	for h := range heads {
		head := s.index.heads.at(h)
		for i := *head; i != none; i = s.slots.at(i).next {
			if i < 0 || i >= slots || seen[i] {
				t.Fatalf("index: slot %d of %d in chain %d, or twice", i, slots, h)
			}
			seen[i] = true
			if s.index.head(s.slots.at(i).hash) != head {
				t.Fatalf("index: slot %d is in chain %d, which is not its own", i, h)
			}
		}
	}
	for i := range slots {
		key := string(s.imageOf(i).bytes[:s.slots.at(i).keyLen])
		if !seen[i] || s.find(key) != i || s.slots.at(i).hash != s.hasher.of(key) {
			t.Fatalf("index: slot %d is not found under its own key", i)
		}
	}
}

func (s *store) checkCells(t testing.TB) {
	t.Helper()
	seen := make([]bool, s.cells.n)
	for i := range s.slots.n {
		left, prev := int(s.slots.at(i).length), ^i
		for at := s.slots.at(i).first; at != none; at = s.cells.at(at).next {
			if at < 0 || at >= s.cells.n || seen[at] || left <= 0 {
				t.Fatalf("cells: cell %d in the chain of slot %d, or twice, or one too many", at, i)
			}
			c := s.cells.at(at)
			if seen[at] = true; c.prev != prev {
				t.Fatalf("cells: before cell %d is %d, not %d", at, c.prev, prev)
			}
			if left < cellRoom && len(bytes.Trim(c.bytes[left:], "\x00")) > 0 {
				t.Fatalf("cells: the rest of cell %d is not zero", at)
			}
			left, prev = left-cellRoom, at
		}
		if left > 0 {
			t.Fatalf("cells: %d bytes of slot %d are missing", left, i)
		}
	}
	for at := range seen {
		if !seen[at] {
			t.Fatalf("cells: cell %d of %d belongs to nobody", at, len(seen))
		}
	}
}

func (s *store) checkPart(t testing.TB, part Part) {
	t.Helper()
	p := &s.parts[part]
	checkTable(t, "places", &p.places)
	var sum int64
	for i := range p.places.n {
		place := *p.places.at(i)
		if i > 0 && place.before(*p.places.at((i - 1) / below)) {
			t.Fatalf("part %d: place %d comes before the one above it", part, i)
		}
		if place.slot < 0 || place.slot >= s.slots.n {
			t.Fatalf("part %d: place %d is of slot %d of %d", part, i, place.slot, s.slots.n)
		}
		slot := s.slots.at(place.slot)
		if slot.place != i || slot.part != part || slot.size <= 0 {
			t.Fatalf("part %d: place %d is of slot %d, which says %+v", part, i, place.slot, *slot)
		}
		sum += slot.size
	}
	if sum != p.bytes {
		t.Fatalf("part %d: %d bytes, accounted %d", part, sum, p.bytes)
	}
}
