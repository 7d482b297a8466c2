package tls12

import (
	"encoding/binary"
	"net"
)

// A choppedConn writes in pieces, and splits handshake messages that are not
// encrypted into small records.
type choppedConn struct {
	net.Conn
	pieces  int // bytes in each Write; 0 for all
	records int // bytes in each record; 0 leaves records alone

	encrypted bool // ChangeCipherSpec was written
}

func (c *choppedConn) Write(b []byte) (int, error) {
	out := c.resplit(b)
	for len(out) > 0 {
		n := len(out)
		if c.pieces > 0 {
			n = min(n, c.pieces)
		}
		if _, err := c.Conn.Write(out[:n]); err != nil {
			return 0, err
		}
		out = out[n:]
	}
	return len(b), nil
}

// resplit takes whole records, because both engines write whole records.
func (c *choppedConn) resplit(b []byte) (out []byte) {
	for len(b) > 0 {
		length := int(binary.BigEndian.Uint16(b[3:recordHeaderLen]))
		record := b[:recordHeaderLen+length]
		b = b[len(record):]
		if recordType(record[0]) == recordChangeCipherSpec {
			c.encrypted = true
		}
		if c.records == 0 || c.encrypted || recordType(record[0]) != recordHandshake {
			out = append(out, record...)
			continue
		}
		for content := record[recordHeaderLen:]; len(content) > 0; {
			part := content[:min(len(content), c.records)]
			content = content[len(part):]
			out = append(out, record[:3]...)
			out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
			out = append(out, part...)
		}
	}
	return out
}
