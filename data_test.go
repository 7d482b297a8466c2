package halfshake

import (
	"bytes"
	"testing"
)

// TestAnnotate checks that the application's data stays with a session, and with those
// that descend from it.
func TestAnnotate(t *testing.T) {
	forAll(t, func(t *testing.T, d door, version uint16) {
		asked, note := 0, bytes.Repeat([]byte("n"), MaxDataSize)
		var authorized [][]byte
		var kept []*Session
		c := newCache(t, Config{
			Annotate: func(info ConnInfo, s *Session) []byte {
				asked++
				kept = append(kept, s)
				if info.ServerName != "a.example" || s.ServerName() != info.ServerName || s.Version() != version || s.Data() != nil {
					t.Errorf("%v, %+v", s, info)
				}
				return note
			},
			Authorize: func(_ ConnInfo, s *Session) bool { authorized = append(authorized, s.Data()); return true },
		})
		open, cl := d.open(t, c, serverConfig()), newClient(version)
		for range 3 {
			connectOK(t, open, cl)
		}
		if kept[0].Data() != nil {
			t.Error("the session that Annotate was given has changed")
		}
		if asked != 1 || len(authorized) != 2 || !bytes.Equal(authorized[0], note) || !bytes.Equal(authorized[1], note) {
			t.Errorf("asked %d times, and %d sessions resumed", asked, len(authorized))
		}
		for s := range c.Sessions() {
			decoded := must(ParseSession(must(s.MarshalBinary())(t)))(t)
			if !bytes.Equal(decoded.Data(), note) {
				t.Error("the encoding has other data")
			}
			clear(decoded.Data())
			if !bytes.Equal(decoded.Data(), note) {
				t.Error("Data is not a copy")
			}
		}
	})
}

// TestAnnotateFails checks that a session whose data is missing is not cached.
func TestAnnotateFails(t *testing.T) {
	for name, annotate := range map[string]func(ConnInfo, *Session) []byte{
		"panics":   func(ConnInfo, *Session) []byte { panic("no data") },
		"too long": func(ConnInfo, *Session) []byte { return make([]byte, MaxDataSize+1) },
	} {
		forAll(t, func(t *testing.T, d door, version uint16) {
			c := newCache(t, Config{Annotate: annotate, Logger: discard()})
			open, cl := d.open(t, c, serverConfig()), newClient(version)
			for range 2 {
				if connectOK(t, open, cl).resumed {
					t.Errorf("%s: resumed", name)
				}
			}
			if st := c.Stats(); st.Number != 0 || st.Refused[RefusedCallback] != 2 {
				t.Errorf("%s: %+v", name, st)
			}
		})
	}
}
