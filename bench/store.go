package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/stores/boltstore"
)

// A store is a file of sessions. A nil store is none.
type store struct {
	external *external.External
	bolt     *boltstore.Store
	log      []byte // the last one written: see settle
}

// openStore opens the store of a kind; nil for none. It is closed by the process's
// end.
func openStore(kind, dir string) (*store, error) {
	if kind != boltKind {
		return nil, nil
	}
	file, err := os.CreateTemp(dir, "sessions-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		return nil, err
	}
	bolt, err := boltstore.Open(file.Name(), boltstore.Config{})
	if err != nil {
		return nil, err
	}
	sessions, err := external.New(bolt, external.Config{Keys: external.GenerateKeys(time.Now())})
	return &store{external: sessions, bolt: bolt}, err
}

// settle waits until what was put is in the file, so that its cost is counted with
// the handshakes that it came from, and returns how many sessions were lost on the way.
// A write of the revocation log has the file committed at once.
func (s *store) settle() (lost uint64, err error) {
	if s == nil {
		return 0, nil
	}
	for s.external.Stats().Queued > 0 {
		time.Sleep(20 * time.Millisecond) // some hundred looks would cost as much as a handshake
	}
	next := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano()))
	if err := s.bolt.CompareAndSwap(context.Background(), s.log, next); err != nil {
		return 0, err
	}
	s.log = next
	stats := s.external.Stats()
	return stats.PutDropped + stats.PutFailed, nil
}
