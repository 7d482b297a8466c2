package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/halfshake/halfshake/external"
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
	return s.Put(ctx, external.Key{}, next, time.Now().Add(time.Hour), external.ClassUnproved)
}

// A logWithEntries loses its log with a session.
type logWithEntries struct{ *naive }

func (s logWithEntries) Delete(ctx context.Context, key external.Key) error {
	s.log = nil
	return s.naive.Delete(ctx, key)
}

// An entriesWithLog loses its sessions where the log changes.
type entriesWithLog struct{ *naive }

func (s entriesWithLog) CompareAndSwap(ctx context.Context, old, next []byte) error {
	clear(s.entries)
	return s.naiveLog.CompareAndSwap(ctx, old, next)
}

func TestLogsNotBesideStores(t *testing.T) {
	for name, store := range map[string]external.Store{
		"the log is an entry":        logAsEntry{newNaive()},
		"the log goes with an entry": logWithEntries{newNaive()},
		"entries go with the log":    entriesWithLog{newNaive()},
	} {
		t.Run(name, func(t *testing.T) {
			wantFailure(t, func(t tester) { checkBesideLog(&probe{t, store}) })
		})
	}
}
