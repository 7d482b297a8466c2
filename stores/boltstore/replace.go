package boltstore

import (
	"errors"
	"fmt"
	"time"
)

// replaceInterval is the least time between two replacements of the file. It keeps a bad
// disk from causing one replacement after another.
const replaceInterval = 5 * time.Second

// load opens the file, or a new one, and adopts its contents.
func (s *Store) load() error {
	f, found, err := openFile(s.path, s.limits, s.logger())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.index = f, found.index
	s.serial.Add(found.index.serial) // continue after the largest in the file
	if s.log == nil {
		s.log = found.log
		return nil
	}
	// The log in memory is newer than the file's.
	b := s.open
	if s.committing != nil {
		b = s.committing
	}
	if b.log == nil {
		b.log = s.log
	}
	return nil
}

// condemn takes f out of use after an error that leaves its contents in doubt.
func (s *Store) condemn(f *file, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != f {
		return
	}
	s.file, s.condemned, s.failure = nil, f, err
	close(f.broken)
	s.hurry()
}

// present returns the file like ready, but first checks that the file is still at its
// path: writes to a deleted file are lost when the process ends.
func (s *Store) present() (*file, error) {
	f, err := s.ready()
	if err != nil {
		return nil, err
	}
	if same, err := isAt(f.info, s.path); err != nil || same {
		return f, nil
	}
	s.condemn(f, errMoved)
	return s.ready()
}

var errMoved = errors.New("the file was deleted or replaced while it was in use")

// ready returns the file, or a new one if the file was condemned.
func (s *Store) ready() (*file, error) {
	s.mu.Lock()
	f, bad, failure := s.file, s.condemned, s.failure
	s.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if bad != nil {
		if wait := replaceInterval - time.Since(s.replaced); wait > 0 {
			return nil, failure
		}
		if err := bad.retire(s.path, s.logger(), failure); err != nil {
			return nil, errors.Join(failure, err)
		}
		s.replaced = time.Now()
		s.mu.Lock()
		s.condemned = nil
		s.mu.Unlock()
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open a new file: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file, nil
}
