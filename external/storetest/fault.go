package storetest

import "fmt"

// A Fault is what befalls a call of a [Faulty]. Those that fail come in pairs,
// since a call may fail and have happened all the same.
type Fault int

// The faults. Where one makes no sense for a method, it does nothing there: a
// lie needs one that reads, and [ReadOnly] and [Full] one that writes.
const (
	// None lets the call through.
	None Fault = iota

	// Fail returns an error; nothing was done.
	Fail
	// FailDone returns an error; it was done.
	FailDone
	// Hang does nothing until the context is done, and returns its error.
	Hang
	// HangDone is Hang, but it was done.
	HangDone
	// Stuck does not heed the context. The call waits for [Faulty.Release], and
	// is then done, late, as if its context were not.
	Stuck
	// Panic panics; nothing was done.
	Panic

	// ReadOnly refuses Put, Take, Delete and CompareAndSwap.
	ReadOnly
	// Full refuses Put and CompareAndSwap.
	Full

	// Drop says that it was done, and it was not: what is written is lost, what
	// is deleted stays, what is there is not found.
	Drop
	// Spare is a Take that does not remove.
	Spare

	// The other lies are told by Get, Take and Load, of which the Take has
	// happened. Where there is nothing to make one of, the truth is told.

	// OtherKey returns what was first put under another key.
	OtherKey
	// Older returns what was first put under this key, whatever became of it.
	Older
	// Flipped returns the value with one bit flipped.
	Flipped
	// Truncated returns the value without some bytes at its end.
	Truncated
	// Garbage returns random bytes, up to 4 KiB.
	Garbage
	// Oversize returns the value followed by zeros: 1 MiB.
	Oversize
	// Empty returns a slice of no bytes, and no error.
	Empty
	// Nil returns nil, and no error.
	Nil
)

// faults is how many there are, with None.
const faults = int(Nil) + 1

// Faults returns all but None.
func Faults() []Fault {
	all := make([]Fault, 0, faults-1)
	for f := Fail; f <= Nil; f++ {
		all = append(all, f)
	}
	return all
}

// String returns the fault's name.
func (f Fault) String() string {
	names := [faults]string{
		"None", "Fail", "FailDone", "Hang", "HangDone", "Stuck", "Panic", "ReadOnly", "Full", "Drop", "Spare",
		"OtherKey", "Older", "Flipped", "Truncated", "Garbage", "Oversize", "Empty", "Nil",
	}
	if f < 0 || int(f) >= faults {
		return fmt.Sprintf("Fault(%d)", int(f))
	}
	return names[f]
}

// IsLie reports whether the fault is an answer that is not true, and not an error.
func (f Fault) IsLie() bool { return f >= Drop }

// forges reports whether the fault makes an answer up from what was put before.
func (f Fault) forges() bool { return f >= OtherKey }

// befalls reports whether the fault makes sense for op.
func (f Fault) befalls(op Op) bool {
	switch {
	case f == None:
		return false
	case f == ReadOnly:
		return op.writes()
	case f == Full:
		return op == Put || op == CompareAndSwap
	case f == Spare:
		return op == Take
	case f.forges():
		return op.reads()
	}
	return true
}
