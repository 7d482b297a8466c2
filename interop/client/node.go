package client

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Node drives Node's tls module with a script of this package.
var Node = Driver{Name: "node", Binary: "node", Package: "nodejs", visit: visitNode}

//go:embed testdata/client.js
var nodeScript []byte

func visitNode(ctx context.Context, target Target) ([]Visit, error) {
	script := filepath.Join(target.Dir, "client.js")
	if err := os.WriteFile(script, nodeScript, 0o600); err != nil {
		return nil, err
	}
	out, err := outputAround(command(ctx, target, "node", script, target.Host, target.Port, target.ServerName,
		"TLSv"+target.Version, request(target, "close"), target.Roots, target.Chain, target.Key,
		pauseLine, strconv.FormatBool(!target.NoTickets)), target)
	if err != nil {
		return nil, err
	}
	out = bytes.Replace(out, []byte(pauseLine), nil, 1)
	var visits []Visit
	for line := range bytes.Lines(out) {
		visit, err := visitOfNode(line)
		if err != nil {
			return nil, err
		}
		visits = append(visits, visit)
	}
	return visits, nil
}

// visitOfNode decodes the line that the script prints for a connection.
func visitOfNode(line []byte) (Visit, error) {
	var said struct {
		Reused   bool
		Response string
		Session  []byte
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return Visit{}, fmt.Errorf("%w in a line of %d bytes", err, len(line))
	}
	view := Full
	if said.Reused {
		view = Resumed
	}
	answer, err := only([]byte(said.Response))
	if err != nil {
		return Visit{}, err
	}
	secrets, err := secretsOf(said.Session)
	return Visit{answer, view, secrets}, err
}
