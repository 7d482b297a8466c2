package interop

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

// TestGRPC has a gRPC client resume with a gRPC server whose credentials use ServerConfig.
func TestGRPC(t *testing.T) {
	eachKind(t, bothVersions, func(t *testing.T, e *endpoints) {
		addr := serveGRPC(t, e)
		e.check(t, func() tls.ConnectionState { return checkHealth(t, e, addr) })
	})
}

// serveGRPC runs a server with the health service until the test ends.
func serveGRPC(t *testing.T, e *endpoints) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(e.serverConfig(t))))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return listener.Addr()
}

// checkHealth makes one call over a new connection, and returns the connection's state.
func checkHealth(t *testing.T, e *endpoints, addr net.Addr) tls.ConnectionState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), libraryLimit)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+addr.String(),
		grpc.WithTransportCredentials(credentials.NewTLS(e.client)), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var server peer.Peer
	answer, err := grpc_health_v1.NewHealthClient(conn).
		Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Peer(&server), grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v", answer.Status)
	}
	info, ok := server.AuthInfo.(credentials.TLSInfo)
	if !ok {
		t.Fatalf("the peer's AuthInfo is a %T", server.AuthInfo)
	}
	return info.State
}
