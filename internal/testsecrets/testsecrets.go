// Package testsecrets lets tests say which secrets they made and keep what was
// logged meanwhile, so that the one can be searched for the other after the
// run (internal/secretscan). Only tests import it.
//
// Without HALFSHAKE_RUN_DIR in the environment nothing is kept.
package testsecrets

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// minRecorded is the length below which a value is too likely to appear by
// chance, or is a deliberately bad one.
const minRecorded = 16

var process = sync.OnceValue(func() *recorder {
	return newRecorder(os.Getenv("HALFSHAKE_RUN_DIR"))
})

// Record notes session ids and secrets that must appear in no output of the
// run. Values of fewer than 16 bytes are ignored. It panics if they cannot be
// written, because the search would then prove nothing.
func Record(values ...[]byte) { process().record(values) }

// LogWriter returns a writer to the part of the run's output that belongs to
// this process. It is safe for concurrent use; so are two of them together.
func LogWriter() io.Writer { return process().logWriter() }

// KeyLog returns a writer for tls.Config.KeyLogWriter that records the secret
// of each line.
func KeyLog() io.Writer { return keyLog{process()} }

// recorder appends to the two files of one process in a run folder.
type recorder struct {
	secrets, logs appender
	off           bool
}

func newRecorder(dir string) *recorder {
	if dir == "" {
		return &recorder{off: true}
	}
	pid := strconv.Itoa(os.Getpid())
	return &recorder{
		secrets: appender{path: filepath.Join(dir, "secrets", pid+".txt")},
		logs:    appender{path: filepath.Join(dir, "logs", pid+".log")},
	}
}

func (r *recorder) record(values [][]byte) {
	if r.off {
		return
	}
	var lines []byte
	for _, v := range values {
		if len(v) >= minRecorded {
			lines = append(hex.AppendEncode(lines, v), '\n')
		}
	}
	if len(lines) == 0 {
		return
	}
	if _, err := r.secrets.Write(lines); err != nil {
		panic(fmt.Sprintf("testsecrets: recording a value: %v", err))
	}
}

func (r *recorder) logWriter() io.Writer {
	if r.off {
		return io.Discard
	}
	return &r.logs
}

// keyLog reads lines of the NSS key log format: label, client random, secret.
// crypto/tls writes a whole line at a time.
type keyLog struct{ r *recorder }

func (k keyLog) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if line[0] == '#' {
			continue
		}
		fields := bytes.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			return 0, errors.New("testsecrets: not a line of a key log")
		}
		secret, err := hex.DecodeString(string(fields[2]))
		if err != nil {
			return 0, errors.New("testsecrets: the third field of a key log's line is not hexadecimal")
		}
		k.r.record([][]byte{secret})
	}
	return len(p), nil
}

// appender opens its file with the first write. It is never closed: the
// process's end does that, and each write is whole when it returns.
type appender struct {
	path string

	mu   sync.Mutex
	file *os.File
}

func (a *appender) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file == nil {
		if err := os.MkdirAll(filepath.Dir(a.path), 0o700); err != nil {
			return 0, err
		}
		file, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, err
		}
		a.file = file
	}
	return a.file.Write(p)
}
