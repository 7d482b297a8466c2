package halfshake

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// MaxDataSize is the length in bytes of the longest application data of a session.
const MaxDataSize = 4 << 10

// fieldData is the kind of the encoding's field that holds the application data.
const fieldData uint16 = 1

// Data returns the application's data, or nil: what Config.Annotate returned for the full
// handshake from which the session descends. OpenSSL calls it ticket application data,
// SSL_SESSION_get0_ticket_appdata(3), so in a session that was imported it is what the C
// program put there.
func (s *Session) Data() []byte { return bytes.Clone(s.field(fieldData)) }

// annotate asks the application for the data of a session that a full handshake made, or
// takes over the data of the session that was resumed.
func (c *Cache) annotate(h *handshake, s *Session, resumed bool) Refusal {
	data := []byte(nil)
	switch f := c.cfg.Annotate; {
	case resumed && h.parent != nil:
		data = h.parent.field(fieldData)
	case f != nil:
		view := *s // the callback may keep it, and s is about to change
		view.serial = nextSerial()
		err := c.attempt(callbackAnnotate, s.id, func() error {
			if data = f(h.info, &view); len(data) > MaxDataSize {
				return fmt.Errorf("the application data has %d bytes; a session holds at most %d", len(data), MaxDataSize)
			}
			return nil
		})
		if err != nil {
			return RefusedCallback
		}
	}
	s.setData(data)
	return 0
}

// setData sets the application data of a session that has not been shared yet.
func (s *Session) setData(data []byte) {
	if len(data) > 0 {
		s.fields = appendField(nil, fieldData, data)
	}
}

func appendField(b []byte, kind uint16, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// field returns the data of the field of a kind, or nil. It is part of the session.
func (s *Session) field(kind uint16) []byte {
	for b := cryptobyte.String(s.fields); !b.Empty(); {
		var k uint16
		var data cryptobyte.String
		if !b.ReadUint16(&k) || !b.ReadUint16LengthPrefixed(&data) {
			return nil
		}
		if k == kind {
			return data
		}
	}
	return nil
}
