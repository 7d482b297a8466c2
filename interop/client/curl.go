package client

import (
	"context"
	"net"
)

// Curl drives curl, which keeps its sessions in memory: one process makes both connections. curl does not say whether it
// resumed. Built on OpenSSL, as in Debian, it sets SSL_OP_NO_TICKET, which has no effect in TLS 1.3.
var Curl = Driver{Name: "curl", Binary: "curl", Package: "curl", Ticketless: true, visit: visitCurl}

func visitCurl(ctx context.Context, target Target) ([]Visit, error) {
	at := net.JoinHostPort(target.ServerName, target.Port)
	args := []string{
		"-q", "-sS", "-v", "-i", "--raw", "--noproxy", "*", "--http1.1", "-H", "Connection: close",
		"--resolve", at + ":" + target.Host, "--cacert", target.Roots,
		"--tlsv" + target.Version, "--tls-max", target.Version,
	}
	if target.Key != "" {
		args = append(args, "--cert", target.Chain, "--key", target.Key)
	}
	url := "https://" + at + "/connection.json"
	out, err := output(command(ctx, target, "curl", append(args, url, url)...))
	if err != nil {
		return nil, err
	}
	return untold(out)
}
