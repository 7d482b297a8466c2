package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var expired time.Duration
		i := newIdle(time.Minute, func() { expired = time.Since(begun) })
		for range 10 {
			time.Sleep(59 * time.Second)
			i.touch()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := 650 * time.Second; expired != want {
			t.Errorf("it expired after %v, want %v", expired, want)
		}
		i.shorten(time.Second)
		i.stop()
	})
}

func TestIdleShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var expired time.Duration
		i := newIdle(time.Hour, func() { expired = time.Since(begun) })
		time.Sleep(10 * time.Minute)
		i.shorten(2 * time.Hour)
		i.shorten(time.Minute)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if want := 11 * time.Minute; expired != want {
			t.Errorf("it expired after %v, want %v", expired, want)
		}
	})
}

// TestIdleStopped: an idle that is stopped, or has no limit, does not expire.
func TestIdleStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIdle(time.Minute, func() { t.Error("expired") })
		i.stop()
		i.touch()
		i.shorten(time.Second)
		time.Sleep(time.Hour)
		none := newIdle(-1, func() { t.Error("expired") })
		none.touch()
		none.shorten(time.Second)
		none.stop()
		time.Sleep(time.Hour)
	})
}
