package boltstore

import (
	"errors"
	"fmt"
	"time"
)

// replaceInterval is how long a file lasts at least before it is replaced, so
// that on a bad disk files do not follow one another.
const replaceInterval = 5 * time.Second

// load opens the file, or a new one, and takes over what it has.
func (s *Store) load() error {
	f, found, err := openFile(s.path, s.limits, s.logger())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file, s.index = f, found.index
	s.serial.Add(found.index.serial) // beyond those in the file
	if s.log == nil {
		s.log = found.log
		return nil
	}
	// The one in memory is the newest.
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

// present is ready, for a file that is still where its name says: in one that was
// deleted, what is written would be gone with the process.
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

// ready returns the file, or another in its place if it was condemned.
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
		return nil, fmt.Errorf("open another file: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file, nil
}
