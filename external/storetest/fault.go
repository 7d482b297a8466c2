package storetest

import "fmt"

// A Fault is what goes wrong with a call of a [Faulty]. Faults that fail come in pairs,
// because a call that fails may have taken effect all the same.
type Fault int

// The faults. A fault that makes no sense for a method does nothing there: a wrong answer
// needs a method that reads, and [ReadOnly] and [Full] one that writes.
const (
	// None lets the call pass.
	None Fault = iota

	// Fail returns an error and has no effect.
	Fail
	// FailDone takes effect and returns an error.
	FailDone
	// Hang has no effect. It waits until the context is done, and returns its error.
	Hang
	// HangDone takes effect and then hangs like Hang.
	HangDone
	// Stuck ignores the context. The call waits for [Faulty.Release], and then takes
	// effect, late, as if its context were not done.
	Stuck
	// Panic panics and has no effect.
	Panic

	// ReadOnly refuses Put, Take, Delete and CompareAndSwap.
	ReadOnly
	// Full refuses Put and CompareAndSwap.
	Full

	// Drop has no effect and returns no error: what is written is lost, what is deleted
	// stays, what is there is not found.
	Drop
	// Spare is a Take that does not remove the entry.
	Spare

	// The other faults are wrong answers of Get, Take and Load; a Take has removed the
	// entry. The answer is right if there is nothing to make a wrong one of.

	// OtherKey returns what was first put under another key.
	OtherKey
	// Older returns what was first put under this key, even if it was deleted.
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

// faults is the number of faults, with None.
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

// IsLie reports whether the fault is a wrong answer rather than an error.
func (f Fault) IsLie() bool { return f >= Drop }

// forges reports whether the fault makes up an answer from what was put before.
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
