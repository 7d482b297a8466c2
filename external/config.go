package external

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Defaults and bounds of a [Config].
const (
	// DefaultReadLimit is half of what a person notices, and many times what a
	// store on the same network needs.
	DefaultReadLimit = 50 * time.Millisecond
	// DefaultMaxReads is how many handshakes of one process wait for the store at
	// a time.
	DefaultMaxReads = 256
	// DefaultQueueSize is some seconds of new sessions of a busy server.
	DefaultQueueSize = 8192

	// writeLimit is how long one write may take.
	writeLimit = 5 * time.Second
	// closeLimit is how long Close lets the queue run dry.
	closeLimit = 5 * time.Second
	// maxQueueBytes bounds the values in the queue.
	maxQueueBytes = 64 << 20
)

// Config configures an [External]. The zero Config but for Keys is good.
type Config struct {
	// Keys are the fleet's. They are required: an External without a secret would
	// be worse than none.
	Keys *KeyRing

	// ReadLimit is how long a handshake waits for the store; 0 is
	// [DefaultReadLimit].
	ReadLimit time.Duration

	// MaxReads is how many reads may be in flight; a handshake that finds all
	// places taken is a full one at once. 0 is [DefaultMaxReads].
	MaxReads int

	// QueueSize is how many new sessions may wait to be written, and as many
	// removals again; what comes on top is dropped and counted. 0 is
	// [DefaultQueueSize].
	QueueSize int

	// WriteThrough is how long the handshake waits until its new session is in the
	// store, for clients that come back at once to another machine; 0 is not at
	// all. The session is written also where the wait was not long enough.
	WriteThrough time.Duration

	// Logger is told when the store stops to answer and when it answers again. Nil
	// is none.
	Logger *slog.Logger
}

// validate says what is wrong with cfg, and how to mend it.
func (cfg *Config) validate() error {
	switch {
	case cfg.Keys == nil || len(cfg.Keys.keys) == 0:
		return errors.New("external: Config.Keys is missing; read a file that \"halfshake keygen\" made with ParseKeys")
	case cfg.ReadLimit < 0:
		return fmt.Errorf("external: Config.ReadLimit is %v; set a positive duration, or 0 for %v", cfg.ReadLimit, DefaultReadLimit)
	case cfg.MaxReads < 0:
		return fmt.Errorf("external: Config.MaxReads is %d; set a positive number, or 0 for %d", cfg.MaxReads, DefaultMaxReads)
	case cfg.QueueSize < 0:
		return fmt.Errorf("external: Config.QueueSize is %d; set a positive number, or 0 for %d", cfg.QueueSize, DefaultQueueSize)
	case cfg.WriteThrough < 0:
		return fmt.Errorf("external: Config.WriteThrough is %v; set a positive duration, or 0 not to wait", cfg.WriteThrough)
	}
	return nil
}

func orDefault[N int | time.Duration](n, otherwise N) N {
	if n == 0 {
		return otherwise
	}
	return n
}
