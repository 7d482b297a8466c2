package interop

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/halfshake/halfshake/internal/testca"
	"github.com/halfshake/halfshake/interop/client"
)

// storeDelay is how long a session may take to be in the store durably.
const storeDelay = 2 * time.Second

// TestClientsResumeAfterKill has every client that can wait between its connections resume by session id after kill -9. The
// sessions come from the command's default store.
func TestClientsResumeAfterKill(t *testing.T) {
	t.Run("ticketless", func(t *testing.T) {
		t.Parallel()
		resumeAfterKill(t, "ticketless", true, client.OpenSSL, client.Node, client.GnuTLS, client.Java, client.WolfSSL)
	})
	t.Run("always", func(t *testing.T) {
		t.Parallel()
		resumeAfterKill(t, "always", false, client.OpenSSL, client.Node, client.GnuTLS, client.Java)
	})
}

// resumeAfterKill kills the server once, after every client has made its first connection.
func resumeAfterKill(t *testing.T, ids string, noTickets bool, drivers ...client.Driver) {
	s := startSite(t, testca.ECDSA, "--session-ids", ids, "--store", "bolt:")
	host, port, err := net.SplitHostPort(s.server.Listen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*clientLimit) // includes the wait and the restart
	defer cancel()
	visitors := make(map[string]*visitor) // by the driver's name
	for _, driver := range drivers {
		if missing(driver) == "" {
			visitors[driver.Name] = startVisitor(ctx, driver, client.Target{
				Host: host, Port: port, ServerName: serverName, Roots: s.roots, Version: "1.2", Dir: t.TempDir(),
				NoTickets: noTickets,
			})
		}
	}
	for _, visitor := range visitors {
		visitor.awaitFirst()
	}
	time.Sleep(storeDelay)
	s.server.KillAndStart(t)
	for _, visitor := range visitors {
		close(visitor.goOn)
	}
	for _, visitor := range visitors {
		<-visitor.over
		s.count(visitor.second)
	}
	s.checkHits(t)
	for _, driver := range drivers {
		t.Run(driver.Name, func(t *testing.T) {
			need(t, driver)
			first, second := visitors[driver.Name].visits(t)
			checkFull(t, "1.2", first)
			checkSecond(t, want{"tls12", "session-id"}, "1.2", second)
		})
	}
}

// visitor is a running client.
type visitor struct {
	between chan struct{} // closed after the first connection
	goOn    chan struct{} // closed when the second connection may begin
	over    chan struct{} // closed when the fields below are set

	first, second client.Visit
	err           error
}

func startVisitor(ctx context.Context, driver client.Driver, target client.Target) *visitor {
	v := &visitor{between: make(chan struct{}), goOn: make(chan struct{}), over: make(chan struct{})}
	target.Between = func() {
		close(v.between)
		select {
		case <-v.goOn:
		case <-ctx.Done():
		}
	}
	go func() {
		defer close(v.over)
		v.first, v.second, v.err = driver.Visit(ctx, target)
	}()
	return v
}

func (v *visitor) awaitFirst() {
	select {
	case <-v.between:
	case <-v.over: // the client failed earlier
	}
}

// visits returns the visits of a client that has exited.
func (v *visitor) visits(t *testing.T) (first, second client.Visit) {
	t.Helper()
	if v.err != nil {
		t.Fatal(v.err)
	}
	select {
	case <-v.between:
	default:
		t.Fatal("it did not wait between its connections")
	}
	record(v.first, v.second)
	return v.first, v.second
}
