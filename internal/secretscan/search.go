package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A find says where a value was found, never which.
type find struct {
	file string
	line int
	form string
}

type result struct {
	files int
	bytes int64
	found int
	finds []find // the first maxReported of them
}

// searchTree searches the name and the content of every file under dir, except
// in dir/secrets.
func searchTree(dir string, x *index) (*result, error) {
	r := &result{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path == filepath.Join(dir, "secrets") {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		return r.searchFile(dir, path, x)
	})
	if err != nil {
		return nil, err
	}
	if r.bytes == 0 {
		return nil, fmt.Errorf("no file with anything in it under %s: there is nothing to search", dir)
	}
	return r, nil
}

func (r *result) searchFile(dir, path string, x *index) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	r.files++
	r.bytes += int64(len(data))
	if rel, err := filepath.Rel(dir, path); err == nil && len(search([]byte(rel), x)) > 0 {
		// The name would show the value.
		r.add(find{dir, 0, "in the name of a file there"})
		path = "(a file whose name holds a value)"
	}
	for _, h := range search(data, x) {
		line := 0
		if len(r.finds) < maxReported {
			line = 1 + bytes.Count(data[:h.at], []byte("\n"))
		}
		r.add(find{path, line, h.form})
	}
	return nil
}

func (r *result) add(f find) {
	r.found++
	if len(r.finds) < maxReported {
		r.finds = append(r.finds, f)
	}
}

// A hit is a form, and the offset of the value's eighth byte in it.
type hit struct {
	at   int
	form string
}

func search(data []byte, x *index) []hit {
	var hits []hit
	for _, f := range forms {
		s := stretch{form: f, index: x}
		f.read(data, s.add, s.end)
		hits = append(hits, s.hits...)
	}
	return hits
}

// A stretch is the unbroken part of a form's stream that was read last.
type stretch struct {
	form
	index *index
	hits  []hit

	hi, lo  uint64 // the last 128 bits
	bits    uint   // how many there are, if fewer than 128
	pending []match
}

// A match is a value of which the first bytes were seen.
type match struct {
	rest []byte
	at   int
	acc  uint // bits read beyond the bytes that matched
	n    uint // how many
}

func (s *stretch) end() {
	s.bits = 0
	s.pending = s.pending[:0]
}

func (s *stretch) add(bits uint8, at int) {
	if len(s.pending) > 0 {
		s.advance(bits)
	}
	s.hi = s.hi<<s.width | s.lo>>(64-s.width)
	s.lo = s.lo<<s.width | uint64(bits)
	s.bits = min(s.bits+s.width, 128)
	for _, tail := range s.tails {
		if s.bits < 64+tail {
			continue
		}
		head := s.hi<<(64-tail) | s.lo>>tail
		for _, v := range s.index.candidates(head) {
			m := match{rest: v[minValue:], at: at, acc: uint(s.lo) & (1<<tail - 1), n: tail}
			if len(m.rest) == 0 {
				s.hits = append(s.hits, hit{at, s.name})
				continue
			}
			s.pending = append(s.pending, m)
		}
	}
}

// advance compares the next unit with what the pending matches expect.
func (s *stretch) advance(bits uint8) {
	kept := s.pending[:0]
	for _, m := range s.pending {
		m.acc, m.n = m.acc<<s.width|uint(bits), m.n+s.width
		if m.n >= 8 {
			m.n -= 8
			if byte(m.acc>>m.n) != m.rest[0] {
				continue
			}
			m.rest = m.rest[1:]
			m.acc &= 1<<m.n - 1
		}
		if len(m.rest) == 0 {
			s.hits = append(s.hits, hit{m.at, s.name})
			continue
		}
		kept = append(kept, m)
	}
	s.pending = kept
}
