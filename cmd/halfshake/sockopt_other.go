//go:build !linux

package main

import (
	"net"
	"syscall"
)

func tuneListener(_, _ string, _ syscall.RawConn) error { return nil }

func tuneConn(net.Conn) {}
