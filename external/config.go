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
	// the same time.
	DefaultMaxReads = 256
	// DefaultQueueSize holds the new sessions of a busy server for some seconds.
	DefaultQueueSize = 8192

	// writeLimit is how long one write may take.
	writeLimit = 5 * time.Second
	// closeLimit is how long Close waits for the queues to empty. closeGraceTime is how
	// long it then waits for calls whose context is done.
	closeLimit     = 5 * time.Second
	closeGraceTime = time.Second
	// maxQueueBytes bounds the values in the queue.
	maxQueueBytes = 64 << 20
)

// Config configures an [External]. Only Keys is required.
type Config struct {
	// Keys are the fleet's keys. They are required: without a secret, anyone who can
	// read the store could resume its sessions.
	Keys *KeyRing

	// ReadLimit is how long a handshake waits for the store. 0 means
	// [DefaultReadLimit].
	ReadLimit time.Duration

	// MaxReads is how many reads may be in flight. While that many are, other
	// handshakes do not wait and are full handshakes. 0 means [DefaultMaxReads].
	MaxReads int

	// QueueSize is how many sessions may wait to be written. It applies separately to
	// sessions whose client has completed its handshake and to the others. Sessions
	// beyond it are counted and not stored. 0 means [DefaultQueueSize].
	QueueSize int

	// WriteThrough is how long a handshake waits until its new session is in the
	// store, for clients that come back at once to another machine. 0 means not to wait.
	// The session is written even if the wait was too short.
	WriteThrough time.Duration

	// Logger receives a line when the store stops answering and when it answers again.
	// Nil means [slog.Default], looked up for each line, for warnings and errors.
	Logger *slog.Logger
}

// validate returns an error that says what is wrong with cfg and how to fix it.
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
