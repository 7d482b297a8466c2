package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"math"
	"os"

	"github.com/halfshake/halfshake/external"
)

// bbolt trusts the pages that it maps. A wrong number in a page can make it recurse until
// the stack overflows or allocate more memory than the machine has. The process survives
// neither. So all pages are checked before bbolt sees them. bbolt writes them in the
// machine's byte order.

var order = binary.NativeEndian

// A page has a header of 16 bytes, and each of its elements has one too:
//
//	page:   id [8] | flags [2] | count [2] | overflow, the number of pages that follow [4]
//	leaf:   flags [4] | position of the key, from here [4] | key size [4] | value size [4]
//	branch: position of the key, from here [4] | key size [4] | page [8]
const (
	pageHeaderSize   = 16
	leafElementSize  = 16
	bucketHeaderSize = 16

	branchPage   = 1
	leafPage     = 2
	freelistPage = 16

	bucketElement = 1
)

// contents holds what check found in a file.
type contents struct {
	index *index
	log   []byte
}

// A checker reads a file page by page.
type checker struct {
	f     io.ReaderAt
	pages uint64   // number of pages that may be in use
	seen  []bool   // the pages found so far to be in use or free
	stack [][]byte // a buffer for each level of the tree
	found *contents
	ours  bool // the file has this package's format
	visit func(id, record)
}

// check reads all of f. It returns a damage if any byte that matters differs from what
// this version of the package would write.
func check(f *os.File) (*contents, error) { return checkEach(f, func(id, record) {}) }

// checkEach is check, and calls visit with each session before it knows whether the rest of
// the file is intact. The record is valid only during the call.
func checkEach(f *os.File, visit func(id, record)) (*contents, error) {
	c := &checker{f: f, found: &contents{index: newIndex()}, visit: visit}
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return c.found, err
	}
	m, err := c.meta(info.Size())
	if err != nil {
		return nil, err
	}
	c.pages = m.pages
	c.seen = make([]bool, m.pages)
	if err := c.buckets(m.root); err != nil {
		return nil, err
	}
	return c.found, c.freelist(m.freelist)
}

// Each of the first two pages holds a meta, and the newer one is in force:
//
//	page header | magic [4] | version [4] | page size [4] | flags [4] |
//	root page [8] | sequence [8] | freelist page [8] | pages [8] | transaction [8] | FNV-1a [8]
type meta struct{ root, freelist, pages, transaction uint64 }

const (
	metaSize    = 64
	boltMagic   = 0xED0CDAED
	boltVersion = 2
)

// meta refuses a file if either of its metas is damaged. The intact one may be the older,
// and using it would undo the last commit, perhaps a Take. A crash leaves both metas
// valid, because each is written after everything else and fits in a disk sector.
func (c *checker) meta(size int64) (newest meta, err error) {
	for i := range int64(2) {
		buf := make([]byte, metaSize)
		if err := c.read(buf, i*pageSize+pageHeaderSize); err != nil {
			return meta{}, err
		}
		m, err := parseMeta(buf)
		if err != nil {
			return meta{}, err
		}
		if m.transaction >= newest.transaction {
			newest = m
		}
	}
	if newest.pages > uint64(size)/pageSize {
		return meta{}, damaged("it ends within its %d pages", newest.pages)
	}
	return newest, nil
}

func parseMeta(b []byte) (meta, error) {
	sum := fnv.New64a()
	sum.Write(b[:56])
	switch {
	case order.Uint32(b) != boltMagic:
		return meta{}, damaged("it is not a bbolt file")
	case order.Uint32(b[4:]) != boltVersion:
		return meta{}, damaged("it is a bbolt file of version %d, and this program supports version %d", order.Uint32(b[4:]), boltVersion)
	case order.Uint64(b[56:]) != sum.Sum64():
		return meta{}, damaged("the checksum of its first pages is wrong")
	case order.Uint32(b[8:]) != pageSize:
		return meta{}, damaged("its pages have %d bytes, and ours have %d", order.Uint32(b[8:]), pageSize)
	}
	return meta{order.Uint64(b[16:]), order.Uint64(b[32:]), order.Uint64(b[40:]), order.Uint64(b[48:])}, nil
}

// buckets checks the root's elements, which are buckets. It checks the format first, so
// that the error for a file of another format says so.
func (c *checker) buckets(root uint64) error {
	found := make(map[string][]byte)
	err := c.tree(root, 0, span{}, func(flags uint32, name, value []byte) error {
		if flags != bucketElement {
			return damaged("its root contains something other than buckets")
		}
		found[string(name)] = bytes.Clone(value)
		return nil
	})
	if err != nil || len(found) == 0 { // a new file has no buckets yet
		return err
	}
	if state, ok := found[string(stateBucket)]; ok {
		if err := c.bucket(state, c.state); err != nil {
			return err
		}
	}
	if !c.ours {
		return damaged("it has no record of its format: something else wrote it")
	}
	if len(found) != classes+1 {
		return damaged("it has %d buckets, and this format has %d", len(found), classes+1)
	}
	for class, name := range sessionsBuckets {
		if err := c.bucket(found[string(name)], c.sessions(external.Class(class))); err != nil {
			return err
		}
	}
	return nil
}

// bucket checks one of the root's elements: a root page, a sequence number and, if the
// bucket is small, its only page inline.
func (c *checker) bucket(value []byte, leaf leafFunc) error {
	if len(value) < bucketHeaderSize {
		return damaged("a bucket is missing, or too short")
	}
	if root := order.Uint64(value); root != 0 {
		return c.tree(root, 1, span{}, leaf)
	}
	p, err := parsePage(value[bucketHeaderSize:])
	if err != nil {
		return err
	}
	return p.leaf(span{}, leaf)
}

// sessions returns a function that checks one entry of a class.
func (c *checker) sessions(class external.Class) leafFunc {
	return func(flags uint32, key, value []byte) error {
		if flags != 0 || len(key) != idSize || len(value) == checksumSize || !record(value).validFor(key, external.MaxValueSize) {
			return damaged("a session's record or checksum is wrong")
		}
		e := id(key)
		if _, twice := c.found.index.slots[e.key()]; twice {
			return damaged("a session is stored twice")
		}
		c.found.index.put(e.key(), slot{e.expires(), e.serial(), uint16(len(value)), class})
		c.visit(e, value)
		return nil
	}
}

func (c *checker) state(flags uint32, key, value []byte) error {
	switch {
	case flags != 0:
		return damaged("its state contains a bucket")
	case bytes.Equal(key, formatKey):
		if !bytes.Equal(value, formatValue) {
			return damaged("its format is %.60q, and this program supports %q", value, formatValue)
		}
		c.ours = true
	case !bytes.Equal(key, logKey) || !record(value).validFor(key, external.MaxLogSize):
		return damaged("the revocation log's record or checksum is wrong")
	default:
		c.found.log = append([]byte{}, record(value).value()...)
	}
	return nil
}

// freelist checks that each page is either free or in use, but not both. Otherwise bbolt
// would overwrite pages in use, or panic.
func (c *checker) freelist(page uint64) error {
	buf, err := c.page(page, 0)
	if err != nil {
		return err
	}
	p, err := parsePage(buf)
	if err != nil || p.flags != freelistPage {
		return damaged("page %d is not a list of free pages", page)
	}
	ids, count := buf[pageHeaderSize:], uint64(p.count)
	if count == math.MaxUint16 && len(ids) >= 8 { // the count does not fit in its field
		ids, count = ids[8:], order.Uint64(ids)
	}
	if count > uint64(len(ids)/8) {
		return damaged("page %d says that it lists more free pages than fit in it", page)
	}
	for i := range count {
		if err := c.use(order.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	for i := uint64(2); i < c.pages; i++ {
		if !c.seen[i] {
			return damaged("page %d is neither in use nor free", i)
		}
	}
	return nil
}

// use marks a page as seen. It returns an error if the page was seen before.
func (c *checker) use(page uint64) error {
	if page < 2 || page >= c.pages {
		return damaged("there is no page %d among the file's %d", page, c.pages)
	}
	if c.seen[page] {
		return damaged("page %d has two uses", page)
	}
	c.seen[page] = true
	return nil
}

func (c *checker) read(buf []byte, at int64) error {
	_, err := c.f.ReadAt(buf, at)
	if errors.Is(err, io.EOF) {
		return damaged("it ends at byte %d or before", at+int64(len(buf)))
	}
	return err
}
