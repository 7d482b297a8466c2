package tls12

import "crypto/subtle"

// This file reads and writes handshake messages, for both sides.

// maxMessage limits the size of a handshake message, certificates included.
const maxMessage = 64 << 10

// need reads handshake records until n bytes are buffered. Any other record in
// between is refused, ChangeCipherSpec included: keys change only where
// readChangeCipherSpec expects it (CVE-2014-0224).
func (c *Conn) need(n int) error {
	for len(c.in.handshake) < n {
		typ, content, err := c.nextRecord()
		if err != nil {
			return err
		}
		if typ != recordHandshake {
			return fail(alertUnexpectedMessage, "the peer sent a record of type %d between handshake messages", typ)
		}
		c.in.handshake = append(c.in.handshake, content...)
	}
	return nil
}

// peekKind returns the type of the next handshake message.
func (c *Conn) peekKind() (messageType, error) {
	if err := c.need(messageHeaderLen); err != nil {
		return 0, err
	}
	return messageType(c.in.handshake[0]), nil
}

// readMessage reads the next handshake message, which must be of m's kind, parses
// it into m and returns its bytes. A message of another kind is refused once its
// header is read.
func (c *Conn) readMessage(m message) (raw []byte, err error) {
	kind, err := c.peekKind()
	if err != nil {
		return nil, err
	}
	if kind != m.kind() {
		return nil, fail(alertUnexpectedMessage, "the peer sent a handshake message of type %d instead of type %d", kind, m.kind())
	}
	header := c.in.handshake[:messageHeaderLen]
	length := int(header[1])<<16 | int(header[2])<<8 | int(header[3])
	if length > maxMessage {
		return nil, fail(alertIllegalParameter, "the peer sent a handshake message of %d bytes", length)
	}
	if err := c.need(messageHeaderLen + length); err != nil {
		return nil, err
	}
	raw = c.takeMessage(messageHeaderLen + length)
	if !parseMessage(m, raw) {
		return nil, fail(alertDecodeError, "the handshake message of type %d is malformed", kind)
	}
	return raw, nil
}

// takeMessage removes n bytes from the buffer and returns them to keep.
func (c *Conn) takeMessage(n int) []byte {
	raw := c.in.handshake[:n:n]
	if c.in.handshake = c.in.handshake[n:]; len(c.in.handshake) == 0 {
		c.in.handshake = nil
	}
	return raw
}

// read reads a message into m and adds it to the transcript.
func (t *transcript) read(c *Conn, m message) error {
	raw, err := c.readMessage(m)
	if err == nil {
		t.add(raw)
	}
	return err
}

// write adds a message to the flight and to the transcript.
func (t *transcript) write(c *Conn, m message) error {
	raw, err := encodeMessage(m)
	if err != nil {
		return fail(alertInternalError, "encoding a handshake message of type %d: %w", m.kind(), err)
	}
	t.add(raw)
	c.out.Lock()
	defer c.out.Unlock()
	_, err = c.out.write(recordHandshake, raw)
	return err
}

// flush sends the flight.
func (c *Conn) flush() error {
	c.out.Lock()
	defer c.out.Unlock()
	if err := c.out.flush(); err != nil {
		return transportError{err}
	}
	return nil
}

// establish derives the connection's keys from the master secret.
func (c *Conn) establish(s *suite, master, clientRandom, serverRandom []byte) (client, server *protection, err error) {
	c.secrets = newSecrets(s, master, clientRandom, serverRandom)
	if err := logSecret(c.config, clientRandom, master); err != nil {
		return nil, nil, err
	}
	if client, server, err = c.secrets.protections(s); err != nil {
		return nil, nil, fail(alertInternalError, "making the suite's keys: %w", err)
	}
	return client, server, nil
}

// sendFinished switches to this side's new keys and sends its Finished.
func (c *Conn) sendFinished(t *transcript, keys *protection, verifyData []byte) error {
	c.out.Lock()
	err := c.out.changeCipherSpec(keys)
	c.out.Unlock()
	if err != nil {
		return err
	}
	if err := t.write(c, &finishedMsg{verifyData}); err != nil {
		return err
	}
	return c.flush()
}

// readFinished switches to the peer's new keys and verifies its Finished, the last
// message of its flight.
func (c *Conn) readFinished(t *transcript, keys *protection, verifyData []byte) error {
	if err := c.readChangeCipherSpec(keys); err != nil {
		return err
	}
	var finished finishedMsg
	if err := t.read(c, &finished); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(finished.verifyData, verifyData) != 1 {
		return fail(alertDecryptError, "the peer's Finished is wrong")
	}
	return c.in.nothingLeft()
}
