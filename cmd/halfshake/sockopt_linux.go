package main

import (
	"net"
	"syscall"
	"time"
)

const (
	// deferAccept is how long the kernel holds back a connection whose client sends
	// nothing.
	deferAccept = 5 * time.Second

	// maxUnsent is how many bytes the kernel takes from us beyond those on their way
	// to the client. Without this limit it takes up to 4 MiB and then nothing until
	// a third of that has gone: a client that reads 2 KB/s would look stalled for
	// minutes, and 10,000 of them would hold 40 GiB.
	maxUnsent = 32 << 10

	tcpNotsentLowat = 25 // TCP_NOTSENT_LOWAT, which package syscall lacks
)

// The options below are optimizations. A kernel may lack them, so errors are ignored.

// tuneListener is a [net.ListenConfig.Control].
func tuneListener(_, _ string, socket syscall.RawConn) error {
	return setTCPOption(socket, syscall.TCP_DEFER_ACCEPT, int(deferAccept/time.Second))
}

// tuneConn sets the options of an accepted connection.
func tuneConn(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		if socket, err := tcp.SyscallConn(); err == nil {
			_ = setTCPOption(socket, tcpNotsentLowat, maxUnsent)
		}
	}
}

func setTCPOption(socket syscall.RawConn, option, value int) error {
	return socket.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, option, value)
	})
}
