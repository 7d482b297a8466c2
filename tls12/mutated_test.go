package tls12

import (
	"encoding/binary"
	"net"
	"slices"
)

// A mutatedConn changes what one side writes. This package writes a whole flight at a
// time, and one record for each handshake message. mutate gets the number of the flight
// and its records.
type mutatedConn struct {
	net.Conn
	mutate func(flight int, records [][]byte) [][]byte
	flight int
}

func (c *mutatedConn) Write(b []byte) (int, error) {
	records := c.mutate(c.flight, splitRecords(b))
	c.flight++
	if _, err := c.Conn.Write(slices.Concat(records...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func splitRecords(b []byte) (records [][]byte) {
	for len(b) > 0 {
		n := recordHeaderLen + int(binary.BigEndian.Uint16(b[3:recordHeaderLen]))
		records, b = append(records, slices.Clone(b[:n])), b[n:]
	}
	return records
}

// newRecord makes an unprotected record.
func newRecord(typ recordType, content []byte) []byte {
	record := make([]byte, recordHeaderLen, recordHeaderLen+len(content))
	putHeader(record, typ, versionTLS12, len(content))
	return append(record, content...)
}

var (
	recordOfCCS  = newRecord(recordChangeCipherSpec, []byte{1})
	recordOfDone = newRecord(recordHandshake, []byte{byte(typeServerHelloDone), 0, 0, 0})
)

// handshakeRecord makes a record with a message.
func handshakeRecord(m message) []byte {
	raw, err := encodeMessage(m)
	if err != nil {
		panic(err)
	}
	return newRecord(recordHandshake, raw)
}

// editClientHello changes the ClientHello in the first record.
func editClientHello(records [][]byte, edit func(*clientHelloMsg)) [][]byte {
	var m clientHelloMsg
	if !parseMessage(&m, records[0][recordHeaderLen:]) {
		panic("the first record is no ClientHello")
	}
	edit(&m)
	records[0] = handshakeRecord(&m)
	return records
}

// editServerHello changes the ServerHello in the first record.
func editServerHello(records [][]byte, edit func(*serverHelloMsg)) [][]byte {
	var m serverHelloMsg
	if !parseMessage(&m, records[0][recordHeaderLen:]) {
		panic("the first record is no ServerHello")
	}
	edit(&m)
	records[0] = handshakeRecord(&m)
	return records
}
