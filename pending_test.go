package halfshake

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halfshake/halfshake/tls12"
)

// 10,000 clients stall, send slowly, send too much, or send fragments or garbage. Memory
// stays bounded, nothing leaks, and good clients among them are served at once.
func TestHostileHellos(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: 64})
	var done atomic.Int64
	l := idListener(t, c, serverConfig())
	go accepting(l, &done)
	hello := helloWithTicket(nil)
	huge := append([]byte{22, 3, 1, 0x40, 0, 1, 1, 0, 0}, make([]byte, 1<<14-4)...) // the first record of a 64 KiB message
	kinds := [][]byte{
		nil, hello[:1], hello[:5], hello[:20], []byte("GET / HTTP/1.1\r\n\r\n"), noise(600), huge[:100], huge, bytes.Repeat(huge, 5),
		{22, 3, 1, 0, 0}, {22, 3, 1, 0xff, 0xff}, {22, 3, 1, 0, 1, 2},
		bytes.Repeat([]byte{22, 3, 1, 0, 1, 1}, 200), // a message in one-byte records
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var open []net.Conn
	for i := range 10_000 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(kinds[i%len(kinds)])
		if open = append(open, conn); len(open) == 100 {
			open[0].Close()
			open = open[1:]
		}
		if i%2500 == 1250 {
			started := time.Now()
			good := must(tls.Dial("tcp", l.Addr().String(), newClient(tls.VersionTLS12).config()))(t)
			good.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadFull(good, make([]byte, 1)); err != nil {
				t.Errorf("the good client: %v", err)
			}
			good.Close()
			t.Logf("after %d hostile clients, a good one was served in %v", i, time.Since(started).Round(time.Millisecond))
		}
	}
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapInuse+after.StackInuse) - int64(before.HeapInuse+before.StackInuse)
	t.Logf("10,000 hostile clients: heap and stacks grew by %d KiB", grown>>10)
	if grown > 64<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	for _, conn := range open {
		conn.Close()
	}
	if done.Load() != 4 || c.Stats().Number > 4 {
		t.Errorf("%d handshakes; %+v", done.Load(), c.Stats())
	}
	l.Close()
}

// A silent client has ten seconds, or one second if other connections wait for its slot.
// The oldest is closed first.
func TestSilentClients(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: 3})
	l := idListener(t, c, serverConfig())
	go accepting(l, new(atomic.Int64))
	begun := time.Now()
	var silent []net.Conn
	for range 5 {
		silent = append(silent, must(net.Dial("tcp", l.Addr().String()))(t))
		time.Sleep(50 * time.Millisecond)
	}
	for i, conn := range silent {
		conn.SetReadDeadline(begun.Add(helloTimeout + 5*time.Second))
		_, err := conn.Read(make([]byte, 1))
		stayed := time.Since(begun)
		if isTimeout(err) || stayed < minPending || (i < 2) != (stayed < helloTimeout) {
			t.Errorf("client %d: closed after %v: %v", i, stayed, err)
		}
	}
	if n := c.Stats().ClosedSilent; n != 2 {
		t.Errorf("%d connections counted as closed, want 2", n)
	}
}

// A client that connects while stalled clients hold every slot is served once those have
// had their second.
func TestServedWhenPlacesAreTaken(t *testing.T) {
	for _, slots := range []int{1, 2, 8} {
		for name, sent := range map[string][]byte{"silent": nil, "begun": helloWithTicket(nil)[:20]} {
			t.Run(fmt.Sprint(slots, " ", name), func(t *testing.T) {
				t.Parallel()
				c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: slots})
				l := idListener(t, c, serverConfig())
				for range slots {
					must(dialAndSend(t, l.Addr(), "", sent))(t)
				}
				good := must(dialAndSend(t, l.Addr(), "", nil))(t)
				go accepting(l, new(atomic.Int64))
				good.SetDeadline(time.Now().Add(helloTimeout / 2)) // well before the others time out
				if err := tls.Client(good, newClient(tls.VersionTLS12).config()).Handshake(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// dialAndSend opens a connection, writes sent to it and closes it when the test ends. from
// is the local address to use; if it is empty, the system chooses one.
func dialAndSend(t *testing.T, to net.Addr, from string, sent []byte) (net.Conn, error) {
	dialer := net.Dialer{}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := dialer.Dial(to.Network(), to.String())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	_, err = conn.Write(sent)
	return conn, err
}

// While 2,000 clients a second connect and send nothing, and 500 a second send their
// ClientHello a byte at a time, a good client from another address is served within two
// seconds. Without HALFSHAKE_SOAK both rates, and MaxPending, are a sixteenth.
func TestCrowd(t *testing.T) {
	scale, lasting := 16, 5*time.Second
	if os.Getenv("HALFSHAKE_SOAK") != "" {
		scale, lasting = 1, 20*time.Second
	}
	c := newCache(t, Config{SessionIDs: SessionIDsTicketless, MaxPending: DefaultMaxPending / scale})
	l := idListener(t, c, serverConfig())
	go accepting(l, new(atomic.Int64))
	if _, err := dialAndSend(t, l.Addr(), "127.0.1.1", nil); err != nil {
		if runtime.GOOS == "linux" { // where all of 127.0.0.0/8 is this machine
			t.Fatal(err)
		}
		t.Skip("this system has only one loopback address: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var crowd sync.WaitGroup
	defer crowd.Wait()
	var size atomic.Int64
	for network, kind := range []struct {
		perSecond int
		pace      time.Duration
	}{{2000, 0}, {500, 100 * time.Millisecond}} {
		crowd.Go(func() {
			everySo(ctx, time.Second*time.Duration(scale)/time.Duration(kind.perSecond), func(i int) {
				size.Add(1)
				stall(ctx, &crowd, l.Addr(), network+1, i, kind.pace)
			})
		})
	}
	var slowest time.Duration
	for ctx.Err() == nil {
		begun := time.Now()
		good := must(dialAndSend(t, l.Addr(), "127.0.0.1", nil))(t)
		good.SetDeadline(begun.Add(10 * time.Second))
		if err := tls.Client(good, newClient(tls.VersionTLS12).config()).Handshake(); err != nil {
			t.Fatal(err)
		}
		good.Close()
		slowest = max(slowest, time.Since(begun))
		time.Sleep(100 * time.Millisecond)
	}
	if slowest > 2*time.Second {
		t.Errorf("a good client was served after %v", slowest)
	}
	t.Logf("%d of %d other clients were closed; the slowest good client was served in %v", c.Stats().ClosedSilent, size.Load(), slowest.Round(time.Millisecond))
}

// everySo calls do at regular intervals until ctx ends. It makes up for late calls.
func everySo(ctx context.Context, interval time.Duration, do func(i int)) {
	begun := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * interval)))
		do(i)
	}
}

// stall opens a connection from one of 50 addresses in 127.0.network. Until the server
// closes it or ctx ends, it sends nothing, or a byte at a time if pace is not 0.
func stall(ctx context.Context, all *sync.WaitGroup, to net.Addr, network, i int, pace time.Duration) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(network), byte(1+i%50))}}
	conn, err := dialer.DialContext(ctx, to.Network(), to.String())
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	all.Go(func() {
		defer conn.Close()
		for _, b := range helloWithTicket(make([]byte, 10_000)) {
			if pace == 0 {
				conn.Read([]byte{0})
				return
			}
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(pace)
		}
	})
}

// Of the connections that may be closed, one from the address with the most connections
// is closed first.
func TestAddressWithMostPlacesGoesFirst(t *testing.T) {
	for _, addresses := range [][4]string{
		{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.2:2", "192.0.2.3:1"},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", "[2001:db8:0:1::2]:1", "[2001:db8:0:2::1]:1"},
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:1", "192.0.2.2:1", "192.0.2.3:1"},
	} {
		c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: 3})
		inner := newQueue(0)
		l := must(c.NewListener(inner, serverConfig()))(t)
		near := make([]net.Conn, 4)
		for i, address := range addresses {
			var far net.Conn
			near[i], far = socketPair(t)
			defer near[i].Close()
			inner.conns <- &fromAddress{far, address}
			time.Sleep(20 * time.Millisecond) // each is older than the next
		}
		time.Sleep(minPending + minPending/4)
		for i, closed := range []bool{false, true, false, false} {
			near[i].SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := near[i].Read([]byte{0}); isTimeout(err) == closed {
				t.Errorf("%v: client %d: %v", addresses, i, err)
			}
		}
		l.Close()
	}
}

// fromAddress is a connection with a given remote address.
type fromAddress struct {
	net.Conn
	address string
}

func (f *fromAddress) RemoteAddr() net.Addr { return f }
func (f *fromAddress) Network() string      { return "tcp" }
func (f *fromAddress) String() string       { return f.address }

// On a busy machine, a ClientHello may stay unread for more than a second. The connection
// is not closed, and the ClientHello is read.
func TestUnreadHelloIsRead(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: 1})
	inner := newQueue(2)
	l := must(c.NewListener(inner, serverConfig()))(t)
	defer l.Close()
	defer time.AfterFunc(10*time.Second, func() { l.Close() }).Stop()
	for _, busy := range []bool{true, false} {
		near, far := socketPair(t)
		defer near.Close()
		near.Write(helloWithTicket(nil))
		if busy {
			far = newUnnoticed(far)
		}
		inner.conns <- far
	}
	for range 2 {
		must(l.Accept())(t).Close()
	}
	if n := c.Stats().ClosedSilent; n != 0 {
		t.Errorf("%d connections were closed", n)
	}
}

// A connection that was asked to leave but has sent data keeps its slot. It is asked
// again when other connections wait.
func TestWhoSpeaksStays(t *testing.T) {
	c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: 1})
	inner := newQueue(0)
	l := must(c.NewListener(inner, serverConfig()))(t)
	defer l.Close()
	slow, far := socketPair(t)
	defer slow.Close()
	hello := helloWithTicket(nil)
	slow.Write(hello[:20])
	inner.conns <- newUnnoticed(far)
	for i := range int64(2) {
		near, far := socketPair(t)
		defer near.Close()
		near.Write(hello)
		begun := time.Now()
		inner.conns <- far
		must(l.Accept())(t).Close()
		if waited := time.Since(begun); waited > helloTimeout/2 {
			t.Errorf("client %d was served after %v", i, waited)
		}
		slow.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := slow.Read([]byte{0})
		if closed := int64(c.Stats().ClosedSilent); closed != i || isTimeout(err) != (i == 0) {
			t.Errorf("client %d was served; %d connections were closed; the slow client reads %v", i, closed, err)
		}
	}
}

// An unnoticed connection ignores data that arrives during its first Read, which lasts
// until a deadline interrupts it.
type unnoticed struct {
	net.Conn
	interrupted chan struct{}
	interrupt   func()
	first       sync.Once
}

func newUnnoticed(conn net.Conn) *unnoticed {
	interrupted := make(chan struct{})
	return &unnoticed{Conn: conn, interrupted: interrupted, interrupt: sync.OnceFunc(func() { close(interrupted) })}
}

func (u *unnoticed) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		u.interrupt()
	}
	return u.Conn.SetReadDeadline(t)
}

func (u *unnoticed) Read(b []byte) (n int, err error) {
	u.first.Do(func() { <-u.interrupted; err = os.ErrDeadlineExceeded })
	if err == nil {
		n, err = u.Conn.Read(b)
	}
	return n, err
}

// While the application does not call Accept, MaxPending connections wait for it, and as
// many more stay pending. The listener accepts no others, and closes none.
func TestWaitingForAcceptIsBounded(t *testing.T) {
	const slots, clients = 4, 20
	c := newCache(t, Config{SessionIDs: SessionIDsAlways, MaxPending: slots})
	inner := newQueue(clients)
	l := must(c.NewListener(inner, serverConfig()))(t)
	defer l.Close()
	defer time.AfterFunc(10*time.Second, func() { l.Close() }).Stop()
	for range clients {
		near, far := socketPair(t)
		defer near.Close()
		near.Write(helloWithTicket(nil))
		inner.conns <- far
	}
	time.Sleep(minPending + 200*time.Millisecond)
	if accepted := clients - len(inner.conns); accepted != 2*slots+1 {
		t.Errorf("%d connections were accepted with %d slots", accepted, slots)
	}
	for range clients {
		conn := must(l.Accept())(t)
		if _, err := conn.(*tls12.Conn).NetConn().(*transport).Write([]byte{1}); err != nil {
			t.Errorf("a connection that waited: %v", err)
		}
		conn.Close()
	}
	if n := c.Stats().ClosedSilent; n != 0 {
		t.Errorf("%d connections were closed", n)
	}
}

// A tally always knows which addresses have the most connections.
func TestTally(t *testing.T) {
	addresses := []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::")}
	tally, want := newTally(), make([]int, len(addresses))
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		i := random.IntN(len(addresses))
		n := 1
		if want[i] > 0 && random.IntN(2) == 0 {
			n = -1
		}
		tally.add(addresses[i], n)
		want[i] += n
		for j, address := range addresses {
			if tally.isMost(address) != (want[j] == slices.Max(want)) {
				t.Fatalf("%v: connection by connection %v", tally, want)
			}
		}
	}
}
