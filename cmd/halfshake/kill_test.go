package main

import (
	"crypto/tls"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// lost is what a crash may take: boltstore's documentation says so.
const lost = 2 * time.Second

// Sessions that were made two seconds before the process is killed resume in the
// next one: 100 in each version.
func TestSessionsSurviveKill(t *testing.T) {
	dir := t.TempDir()
	first := serveProcess(t, "--state-dir", dir)
	jars := make([]*tls.Config, 200)
	for i := range jars {
		jars[i] = newJar(tls.VersionTLS12 + uint16(i%2))
		if resumed, err := visit(first.addr, jars[i]); err != nil || resumed {
			t.Fatalf("session %d: resumed %v, %v", i, resumed, err)
		}
	}
	time.Sleep(lost)
	first.kill()
	second := serveProcess(t, "--state-dir", dir)
	expectResumed(t, second.addr, jars)
}

// Kill and start, over and over and under load: every start comes up, and nothing
// older than two seconds is lost. HALFSHAKE_KILLS=50 has it done as often.
func TestKillLoop(t *testing.T) {
	dir := t.TempDir()
	for range soak("HALFSHAKE_KILLS", 3) {
		server := serveProcess(t, "--state-dir", dir)
		load := startLoad(server.addr)
		time.Sleep(lost + time.Duration(rand.IntN(1500))*time.Millisecond)
		killed := time.Now()
		server.kill()
		old := load.stop(killed.Add(-lost))
		if len(old) == 0 {
			t.Fatal("no session was made in time: this test shows nothing")
		}
		next := serveProcess(t, "--state-dir", dir)
		expectResumed(t, next.addr, old)
		t.Logf("%d sessions resume", len(old))
		next.kill()
	}
}

// expectResumed fails the test unless each client resumes.
func expectResumed(t *testing.T, addr string, jars []*tls.Config) {
	t.Helper()
	missed := 0
	for i, jar := range jars {
		resumed, err := visit(addr, jar)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if !resumed {
			missed++
		}
	}
	if missed > 0 {
		t.Errorf("%d of %d sessions do not resume", missed, len(jars))
	}
}

// A load is some clients that make sessions as fast as they are served.
type load struct {
	end     chan struct{}
	clients sync.WaitGroup

	mu   sync.Mutex
	made []madeSession
}

type madeSession struct {
	jar *tls.Config
	at  time.Time
}

func startLoad(addr string) *load {
	l := &load{end: make(chan struct{})}
	for i := range 4 {
		l.clients.Go(func() { l.run(addr, tls.VersionTLS12+uint16(i%2)) })
	}
	return l
}

func (l *load) run(addr string, version uint16) {
	for {
		select {
		case <-l.end:
			return
		default:
		}
		jar := newJar(version)
		if _, err := visit(addr, jar); err != nil {
			return // it was killed
		}
		l.mu.Lock()
		l.made = append(l.made, madeSession{jar, time.Now()})
		l.mu.Unlock()
	}
}

// stop ends the load and returns the clients of the sessions made before the given
// time: of many, the last 200, which are the ones in danger.
func (l *load) stop(before time.Time) (jars []*tls.Config) {
	close(l.end)
	l.clients.Wait()
	for _, m := range l.made {
		if m.at.Before(before) {
			jars = append(jars, m.jar)
		}
	}
	return jars[max(0, len(jars)-200):]
}
