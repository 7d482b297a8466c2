package client

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
	"strconv"
)

// Java drives Java's own TLS client, running a class of this package from its source. The client does not say whether it
// resumed. In TLS 1.2 it offers a ticket only if the full handshake's ServerHello had a session id.
var Java = Driver{
	Name: "java", Binary: "java", Package: "openjdk-17-jdk-headless", NeedsID: true, visit: visitJava,
}

//go:embed testdata/Client.java
var javaSource []byte

func visitJava(ctx context.Context, target Target) ([]Visit, error) {
	source := filepath.Join(target.Dir, "Client.java")
	if err := os.WriteFile(source, javaSource, 0o600); err != nil {
		return nil, err
	}
	tickets := "-Djdk.tls.client.enableSessionTicketExtension=" + strconv.FormatBool(!target.NoTickets)
	out, err := outputAround(command(ctx, target, "java", "-XX:TieredStopAtLevel=1", tickets, source, target.Host,
		target.Port, target.ServerName, "TLSv"+target.Version, request(target, "close"), target.Roots, pauseLine), target)
	if err != nil {
		return nil, err
	}
	return untold(out)
}
