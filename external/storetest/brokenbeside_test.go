package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
	"github.com/halfshake/halfshake/external/memstore"
)

// A logAsEntry keeps its log under a key that a session may have.
type logAsEntry struct{ *naive }

func (s logAsEntry) Load(ctx context.Context) ([]byte, error) { return s.Get(ctx, external.Key{}) }

func (s logAsEntry) CompareAndSwap(ctx context.Context, old, next []byte) error {
	log, err := s.Load(ctx)
	if err != nil && !errors.Is(err, external.ErrNotFound) {
		return err
	}
	if !bytes.Equal(old, log) {
		return external.ErrConflict
	}
	return s.Put(ctx, external.Key{}, next, time.Now().Add(time.Hour))
}

// A logWithEntries loses its log with a session.
type logWithEntries struct {
	*naive
	*naiveLog
}

func (s logWithEntries) Delete(ctx context.Context, key external.Key) error {
	s.log = nil
	return s.naive.Delete(ctx, key)
}

// An entriesWithLog loses its sessions where the log changes.
type entriesWithLog struct {
	*naive
	*naiveLog
}

func (s entriesWithLog) CompareAndSwap(ctx context.Context, old, next []byte) error {
	clear(s.entries)
	return s.naiveLog.CompareAndSwap(ctx, old, next)
}

func TestLogsNotBesideStores(t *testing.T) {
	for name, log := range map[string]external.RevocationLog{
		"the log is an entry":        logAsEntry{newNaive()},
		"the log goes with an entry": logWithEntries{newNaive(), newNaiveLog()},
		"entries go with the log":    entriesWithLog{newNaive(), newNaiveLog()},
	} {
		t.Run(name, func(t *testing.T) {
			wantFailure(t, func(t tester) { checkLogBesideStore(&logProbe{t, log}) })
		})
	}
}

func TestLogBesideStoreIsSound(t *testing.T) {
	RunLog(t, func(testing.TB) external.RevocationLog { return memstore.New(memstore.Config{}) })
}
