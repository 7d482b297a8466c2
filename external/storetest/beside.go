package storetest

import (
	"bytes"
	"time"

	"github.com/halfshake/halfshake/external"
)

// checkBesideLog requires that sessions and the log leave each other alone.
func checkBesideLog(p *probe) {
	log := &logProbe{p.tester, p.store}
	before := log.load() // other checks may have used the database
	keys := []external.Key{newKey(), {}, external.Key(bytes.Repeat([]byte{0xff}, 32))}
	for i, key := range keys {
		p.put(key, numbered(key, uint64(i)))
	}
	log.want(before)

	first := newValue(3000)
	log.wantSwap(before, first)
	for i, key := range keys {
		p.want(key, numbered(key, uint64(i)))
		p.put(key, newValue(100))
		log.want(first)
		p.delete(key)
		p.putUntil(key, newValue(100), time.Now().Add(-time.Minute))
		p.wantAbsent(key)
		log.want(first)
	}
	log.wantSwap(first, newValue(10))
	for _, key := range keys {
		p.wantAbsent(key)
	}
}
