package tombstone

import (
	"testing"
	"time"
)

var start = time.Unix(1_800_000_000, 0)

func stone(began int64) Stone { return Stone{Began: began, Until: start.Add(time.Hour)} }

func byClient() Stone { return Stone{Until: start.Add(time.Hour), ByClient: true} }

func TestRemovedUntilSettled(t *testing.T) {
	s := New[int](Limits{Operator: 10, Client: 10, Settled: 2})
	before := s.Mark()
	s.Add(1, stone(1), start)
	if !s.Has(1, s.Mark()) || s.Has(2, before) {
		t.Fatal("a look-up after the removal finds the entry, or misses one that was not removed")
	}
	s.Settle(1)
	if !s.Has(1, before) || s.Has(1, s.Mark()) {
		t.Error("after Settle, an earlier look-up finds the entry, or a later one does not")
	}
	for key := 2; key < 4; key++ { // the ring turns over
		s.Add(key, stone(1), start)
		s.Settle(key)
	}
	if !s.Has(1, before) || !s.Has(99, before) {
		t.Error("a look-up older than a forgotten tombstone finds something")
	}
	if s.Has(99, s.Mark()) || s.Len() != 0 {
		t.Error("a new look-up finds nothing, or an unsettled tombstone is left")
	}
	if s.Holds(3) || !s.Remembers(3) || s.Remembers(1) {
		t.Error("a settled tombstone counts as unsettled, or was forgotten too early or too late")
	}
	if s.Add(3, stone(1), start); !s.Holds(3) || !s.Remembers(3) {
		t.Error("an unsettled tombstone is missing")
	}
}

func TestLift(t *testing.T) {
	s := New[int](Limits{Operator: 10, Client: 10, Settled: 2})
	before := s.Mark()
	s.Add(1, stone(1), start)
	s.Lift(1)
	if s.Has(1, before) || s.Len() != 0 {
		t.Error("the tombstone is still there after Lift")
	}
}

func TestFloorTakesTheEighthThatBeganFirst(t *testing.T) {
	s := New[int](Limits{Operator: 80, Client: 10, Settled: 2})
	for key := range 80 {
		if raised := s.Add(key, stone(int64(1000-key)), start); raised != nil {
			t.Fatalf("the floor rose to %d before the limit was reached", raised)
		}
	}
	for range 100 {
		s.Add(79, byClient(), start) // its tombstone now counts as a client's
		s.Add(79, stone(921), start)
	}
	if raised := s.Add(80, stone(5000), start); raised[Scope{}] != 930 || !s.Below(Scope{}, 930) || s.Below(Scope{}, 931) {
		t.Errorf("the floor is %d, want the tenth earliest start of 80", raised)
	}
	if s.Len() != 71 || s.Has(75, s.Mark()) || !s.Has(69, s.Mark()) {
		t.Errorf("%d tombstones; the floor replaced the wrong ones", s.Len())
	}
}

func TestFloorsOfScopes(t *testing.T) {
	s := New[int](Limits{Operator: 24, Client: 10, Settled: 2})
	one, two, third := Scope{1}, Scope{2}, Scope{3}
	for key := range 24 { // the three that began first belong to two scopes
		stone := stone(int64(100 + key))
		switch {
		case key < 2:
			stone.Scope = one
		case key < 3:
			stone.Scope = two
		default:
			stone.Scope = third
		}
		s.Add(key, stone, start)
	}
	if raised := s.Add(24, stone(0), start); len(raised) != 2 || raised[one] != 101 || raised[two] != 102 {
		t.Errorf("raised %v, want the floors of the two scopes whose three entries began first", raised)
	}
	if !s.Below(one, 101) || s.Below(one, 102) || !s.Below(two, 102) || s.Below(third, 0) || s.Below(Scope{}, 0) {
		t.Error("a floor covers too much or too little")
	}
	for key := range 3 { // tombstones of the zero scope are replaced next
		s.Add(25+key, stone(0), start)
	}
	if !s.Below(Scope{}, 0) || !s.Below(one, 101) || s.Below(Scope{}, 1) {
		t.Error("a floor at 0 covers nothing, or another scope lost its floor")
	}
}

func TestExpiredMakeRoomFirst(t *testing.T) {
	s := New[int](Limits{Operator: 4, Client: 4, Settled: 2})
	for key := range 4 {
		s.Add(key, stone(int64(key)), start)
	}
	before := s.Mark()
	if raised := s.Add(4, stone(4), start.Add(2*time.Hour)); raised != nil || s.Len() != 1 {
		t.Errorf("floor %d, %d tombstones", raised, s.Len())
	}
	if !s.Has(0, before) {
		t.Error("a look-up in flight finds the removed entry")
	}
}

func TestClientsRaiseNoFloor(t *testing.T) {
	s := New[int](Limits{Operator: 4, Client: 4, Settled: 2})
	s.Add(-1, stone(1), start)
	for key := range 1000 {
		if s.Full(start) != (key >= 4) {
			t.Fatalf("after %d: full %v", key, s.Full(start))
		}
		s.Add(key, byClient(), start)
	}
	if s.Below(Scope{}, 0) || s.Len() != 5 || !s.Has(-1, s.Mark()) {
		t.Errorf("a floor rose, the operator's tombstone is gone, or %d tombstones are left instead of 5", s.Len())
	}
	if s.Full(start.Add(2 * time.Hour)) {
		t.Error("the Set counts as full although its tombstones have expired")
	}
}
