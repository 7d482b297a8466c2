package storetest

import "fmt"

// An Op is a method of [external.Store].
type Op int

// The methods of a store and, after them, of its revocation log.
const (
	Put Op = iota
	Get
	Take
	Delete
	Load
	CompareAndSwap
)

// ops is how many there are.
const ops = 6

// String returns the method's name.
func (op Op) String() string {
	if op < 0 || op >= ops {
		return fmt.Sprintf("Op(%d)", int(op))
	}
	return [ops]string{"Put", "Get", "Take", "Delete", "Load", "CompareAndSwap"}[op]
}

// writes reports whether the method changes the database.
func (op Op) writes() bool { return op != Get && op != Load }

// reads reports whether the method returns something from the database.
func (op Op) reads() bool { return op == Get || op == Take || op == Load }
