package main

import (
	"bytes"
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostileAtOnce is how many of the 10,000 clients of TestHostileHellos are connected at
// a time. More than half of them stall.
const hostileAtOnce = 3000

// TestHostileHellos sends 10,000 slow, stalled, oversized, fragmented and garbage
// ClientHellos to a server in a process of its own. What the server holds for them
// is bounded, and good clients are served in the middle of it.
func TestHostileHellos(t *testing.T) {
	s := serveProcess(t, "--session-ids", "always", "--store", "memory:", "--state-dir", t.TempDir(), "--metrics", "127.0.0.1:0")
	metrics := s.await(t, `msg=serving .* metrics=(\S+) `)
	good := []*tls.Config{newJar(tls.VersionTLS12), newJar(tls.VersionTLS13)}
	for _, client := range good {
		mustVisit(t, s.addr, client)
	}
	before := memoryOf(t, metrics)
	peak := before
	var waits []time.Duration
	m := newMob(t)
	defer m.leave()
	for i := range 10_000 {
		m.enter(t, s.addr, i)
		if i%500 != 499 {
			continue
		}
		for _, client := range good {
			begun := time.Now()
			mustVisit(t, s.addr, client)
			waits = append(waits, time.Since(begun))
		}
		now := memoryOf(t, metrics)
		peak.heap, peak.resident = max(peak.heap, now.heap), max(peak.resident, now.resident)
	}
	slices.Sort(waits)
	median, slowest := waits[len(waits)/2], waits[len(waits)-1]
	t.Logf("10,000 hostile clients, %d at a time: of %d good ones the slowest was served in %v, the median in %v",
		hostileAtOnce, len(waits), slowest.Round(time.Millisecond), median.Round(time.Millisecond))
	t.Logf("memory of the server: heap and stacks %d MiB before, %d MiB at most; resident %d MiB, %d MiB",
		before.heap>>20, peak.heap>>20, before.resident>>20, peak.resident>>20)
	// One that had to wait until a stalled client's time is over would wait for some
	// ten seconds; on a machine that is slow and busy, one or two may be honest.
	if slowest > 3*time.Second {
		t.Errorf("a good client was served after %v", slowest)
	}
	// Each bound by itself is for TestReadHello and TestSilentClients; here it is all
	// of them together.
	if peak.heap-before.heap > 192<<20 {
		t.Errorf("memory grew from %d to %d bytes", before.heap, peak.heap)
	}
}

func mustVisit(t *testing.T, addr string, client *tls.Config) {
	t.Helper()
	if _, err := visit(addr, client); err != nil {
		t.Fatalf("a good client: %v", err)
	}
}

// A memory is what a process has, in bytes.
type memory struct {
	heap     int64 // and stacks, in use
	resident int64 // 0 where the system does not say it
}

// memoryOf asks the server for its metrics.
func memoryOf(t *testing.T, metrics string) memory {
	t.Helper()
	body, err := newClient(&tls.Config{}, false).get("http://" + metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text := string(body)
	value := func(name string) int64 {
		_, rest, _ := strings.Cut(text, "\n"+name+" ")
		line, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.ParseFloat(line, 64)
		return int64(n)
	}
	m := memory{value("go_memstats_heap_inuse_bytes") + value("go_memstats_stack_inuse_bytes"), value("process_resident_memory_bytes")}
	if m.heap == 0 {
		t.Fatalf("the metrics do not say how large the heap is:\n%s", text)
	}
	return m
}

// A mob is clients that mean no good. Every third says what it has to say a byte at
// a time.
type mob struct {
	hellos [][]byte

	mu    sync.Mutex
	conns []net.Conn
	slow  map[net.Conn][]byte // what is left to say

	done chan struct{}
	work sync.WaitGroup
}

func newMob(t *testing.T) *mob {
	hello := clientHello(t)
	huge := append([]byte{22, 3, 1, 0x40, 0, 1, 1, 0, 0}, make([]byte, 1<<14-4)...) // of a message that is too large
	nearly := append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0}, make([]byte, 1<<14-4)...)
	for range 3 { // of one that is not, and does not end
		nearly = append(nearly, 22, 3, 1, 0x40, 0)
		nearly = append(nearly, make([]byte, 1<<14)...)
	}
	nearly = nearly[:len(nearly)-300]
	c := &mob{
		slow: map[net.Conn][]byte{}, done: make(chan struct{}),
		hellos: [][]byte{
			nil, hello[:1], hello[:5], hello[:20], hello[:len(hello)-1], hello,
			huge[:100], huge, bytes.Repeat(huge, 5), nearly, nearly, nearly,
			fragmented(hello), fragmented(hello[5:])[:100], bytes.Repeat([]byte{22, 3, 1, 0, 1, 1}, 200),
			{22, 3, 1, 0, 0}, {22, 3, 1, 0xff, 0xff}, {22, 3, 1, 0, 1, 2},
			[]byte("GET / HTTP/1.1\r\n\r\n"), bytes.Repeat([]byte{0xff}, 1000), noise(1000),
		},
	}
	c.work.Go(c.drip)
	return c
}

// fragmented has each byte of a record's content in a record of its own.
func fragmented(record []byte) (pieces []byte) {
	for _, b := range record[5:] {
		pieces = append(pieces, 22, 3, 1, 0, 1, b)
	}
	return pieces
}

// noise is the same at each run.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

// enter makes client i, every third of them a slow one. When there are too many,
// the oldest goes.
func (c *mob) enter(t *testing.T, addr string, i int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	says := c.hellos[i%len(c.hellos)]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns = append(c.conns, conn); len(c.conns) > hostileAtOnce {
		c.conns[0].Close()
		delete(c.slow, c.conns[0])
		c.conns = slices.Delete(c.conns, 0, 1)
	}
	if i%3 == 0 {
		c.slow[conn] = says
		return
	}
	_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // the server need not read all
	_, _ = conn.Write(says)
}

// drip lets each slow client say its next byte.
func (c *mob) drip() {
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-c.done:
			tick.Stop()
			return
		case <-tick.C:
		}
		c.mu.Lock()
		for conn, left := range c.slow {
			if len(left) == 0 {
				delete(c.slow, conn)
				continue
			}
			_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := conn.Write(left[:1]); err != nil {
				delete(c.slow, conn)
				continue
			}
			c.slow[conn] = left[1:]
		}
		c.mu.Unlock()
	}
}

func (c *mob) leave() {
	close(c.done)
	c.work.Wait()
	for _, conn := range c.conns {
		conn.Close()
	}
}
