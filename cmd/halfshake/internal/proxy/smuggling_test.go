package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// TestSmuggling sends requests about whose end two parsers may disagree. The backend gets
// one request with one length, or none. "/smuggled" is never a request's target.
func TestSmuggling(t *testing.T) {
	const hidden = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, c := range map[string]struct {
		sent string
		want int // status
	}{
		"CL.TE":                  {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, 200},
		"TE.CL":                  {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n23\r\n" + hidden + "\r\n0\r\n\r\n", 200},
		"two lengths":            {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 34\r\n\r\n" + hidden, 400},
		"a list of lengths":      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 34\r\n\r\n" + hidden, 400},
		"a signed length":        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n" + hidden, 400},
		"TE.TE":                  {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n" + hidden, 501},
		"an unknown coding":      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n" + hidden, 501},
		"a coding and a tab":     {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \vchunked\r\nContent-Length: 0\r\n\r\n" + hidden, 400},
		"a space before a colon": {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n" + hidden, 400},
		"a chunk's length":       {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + hidden, 400},
		"a bare line feed":       {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\nZ\r\n0\r\n\r\n" + hidden, 400},
		"an underscore":          {"POST / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n" + hidden, 200},
		"two hosts":              {"GET / HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", 400},
		"a host with a path":     {"GET / HTTP/1.1\r\nHost: h/smuggled\r\n\r\n", 400},
		"a user":                 {"GET http://user:secret@h/ HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		"another's URL":          {"GET http://g.example/ HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		"CONNECT":                {"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: h\r\n\r\n", 501},
		"no path":                {"GET mailto:x@y HTTP/1.1\r\nHost: h\r\n\r\n", 400},
		"an HTTP/0.9 request":    {"GET /smuggled\r\n\r\n", 400},
		"a folded header":        {"GET / HTTP/1.1\r\nHost: h\r\nX: 1\r\n Client-Cert: 2\r\n\r\n", 200},
	} {
		for _, w := range ways {
			if w.http2 {
				continue
			}
			t.Run(name+", "+w.name, func(t *testing.T) {
				backend, seen := newRecorder(t, false)
				f := newFront(t, w, backend, HTTPOptions{})
				response := f.raw(t, c.sent)
				if response.StatusCode != c.want {
					t.Errorf("%s, want %d", response.Status, c.want)
				}
				mustBeOne(t, seen(), c.want == 200)
			})
		}
	}
}

// mustBeOne parses what a backend saw, and checks that it is at most one request, without
// anything forbidden. A request whose end never arrived does not count.
func mustBeOne(t *testing.T, seen string, wanted bool) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(seen))
	requests := 0
	for ; ; requests++ {
		request, err := http.ReadRequest(r)
		if err != nil {
			break
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			break
		}
		if request.URL.Path == "/smuggled" && requests == 0 {
			t.Error("the hidden request arrived first")
		}
		for _, name := range []string{"Transfer_encoding", "Authorization", "Client-Cert"} {
			if request.Header[name] != nil {
				t.Errorf("%s arrived", name)
			}
		}
		if len(request.Header["Content-Length"]) > 0 && len(request.TransferEncoding) > 0 {
			t.Error("two lengths arrived")
		}
	}
	// After a chunked body that ends, a second request is the client's own.
	if !wanted && requests > 0 || wanted && requests == 0 {
		t.Errorf("%d requests arrived:\n%q", requests, seen)
	}
}

// TestPipelining: two requests in one write stay two, each with its own headers.
func TestPipelining(t *testing.T) {
	backend := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path+r.Header.Get("Client-Cert")+r.Header.Get("X-Forwarded-For"))
	})
	f := newFront(t, ways[0], backend, HTTPOptions{})
	conn := f.dial(t)
	_, _ = io.WriteString(conn, "POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nClient-Cert: :AA==:\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
	r := bufio.NewReader(conn)
	for _, want := range []string{"/1127.0.0.1", "/2127.0.0.1"} {
		if got := bodyOf(t, readResponse(t, r, "GET")); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestHTTP2Smuggling sends requests that no regular HTTP/2 client would send and that would
// be misread in HTTP/1.1.
func TestHTTP2Smuggling(t *testing.T) {
	for name, c := range map[string]struct {
		fields [][2]string // override those of a good request
		body   string
		want   string // status; "" for a stream that is reset; "any" if it depends on timing
	}{
		"a good request":        {nil, "", "200"},
		"a good body":           {[][2]string{{":method", "POST"}, {"content-length", "2"}}, "ok", "200"},
		"the scheme http":       {[][2]string{{":scheme", "http"}}, "", "200"},
		"a space in the query":  {[][2]string{{":path", "/?a HTTP/1.1"}}, "", "400"},
		"a line in the query":   {[][2]string{{":path", "/?a\r\nClient-Cert: :AA==:"}}, "", ""},
		"a line in the path":    {[][2]string{{":path", "/a\r\nx"}}, "", ""},
		"a line in a value":     {[][2]string{{"x", "1\r\nClient-Cert: :AA==:"}}, "", ""},
		"a name with a colon":   {[][2]string{{"x: 1\r\nclient-cert", "1"}}, "", ""},
		"a line in the method":  {[][2]string{{":method", "GET / HTTP/1.1\r\nx: "}}, "", ""},
		"a path in the host":    {[][2]string{{":authority", "h/smuggled"}}, "", "400"},
		"a user in the host":    {[][2]string{{":authority", "user:secret@h"}}, "", ""},
		"a line in the host":    {[][2]string{{":authority", "h\r\nx: y"}}, "", ""},
		"no path":               {[][2]string{{":path", "smuggled"}}, "", ""},
		"a star":                {[][2]string{{":path", "*"}}, "", "400"},
		"another's URL":         {[][2]string{{":path", "http://g/"}}, "", "200"},
		"H2.TE":                 {[][2]string{{":method", "POST"}, {"transfer-encoding", "chunked"}}, "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n", "400"},
		"H2.CL, too small":      {[][2]string{{":method", "POST"}, {"content-length", "0"}}, "GET /smuggled HTTP/1.1\r\n\r\n", "any"},
		"H2.CL, two":            {[][2]string{{":method", "POST"}, {"content-length", "2"}, {"content-length", "1"}}, "ok", "200"},
		"H2.CL, not a number":   {[][2]string{{":method", "POST"}, {"content-length", "2, 1"}}, "ok", "any"},
		"a connection header":   {[][2]string{{"connection", "x-forwarded-for"}}, "", "400"},
		"an upgrade":            {[][2]string{{"connection", "upgrade"}, {"upgrade", "websocket"}}, "", "400"},
		"an extended CONNECT":   {[][2]string{{":method", "CONNECT"}, {":protocol", "websocket"}}, "", ""},
		"a CONNECT":             {[][2]string{{":method", "CONNECT"}, {":path", ""}, {":scheme", ""}}, "", "501"},
		"a name in upper case":  {[][2]string{{"Client-Cert", ":AA==:"}}, "", ""},
		"a host of its own":     {[][2]string{{"host", "g"}}, "", "200"},
		"a path without scheme": {[][2]string{{":path", "//h/x y"}}, "", "200"},
	} {
		for _, w := range ways {
			if !w.http2 {
				continue
			}
			t.Run(name+", "+w.name, func(t *testing.T) {
				backend, seen := newRecorder(t, false)
				f := newFront(t, w, backend, HTTPOptions{})
				if got := f.rawHTTP2(t, c.fields, c.body); got != c.want && c.want != "any" {
					t.Errorf("status %q, want %q", got, c.want)
				}
				got := seen()
				if c.want != "any" {
					mustBeOne(t, got, c.want == "200")
				}
				for _, never := range []string{"Client-Cert", "/smuggled", "secret", "pgrade"} {
					if strings.Contains(got, never) {
						t.Errorf("the backend saw %q in\n%s", never, got)
					}
				}
			})
		}
	}
}

// rawHTTP2 sends one request and returns its status, or "" if it gets none.
func (f *front) rawHTTP2(t *testing.T, fields [][2]string, body string) string {
	t.Helper()
	config := clientConfig(f.way.version)
	config.NextProtos = []string{"h2"}
	conn := dialTLS(t, f.addr, config)
	sent := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	sent = append(sent, http2Frame(http2Settings, 0, 0, nil)...)
	if body == "" {
		sent = append(sent, http2Frame(http2Headers, http2EndHeaders|http2EndStream, 1, headerBlock(fields))...)
	} else {
		sent = append(sent, http2Frame(http2Headers, http2EndHeaders, 1, headerBlock(fields))...)
		sent = append(sent, http2Frame(http2Data, http2EndStream, 1, []byte(body))...)
	}
	_, _ = conn.Write(sent)
	return http2Status(conn)
}

// The parts of HTTP/2 that the tests need (RFC 9113, section 6).
const (
	http2Data, http2Headers, http2Reset, http2Settings, http2GoAway = 0, 1, 3, 4, 7

	http2EndStream, http2EndHeaders = 1, 4
)

func http2Frame(kind, flags byte, stream uint32, payload []byte) []byte {
	n := len(payload)
	frame := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	return append(binary.BigEndian.AppendUint32(frame, stream), payload...)
}

// http2Status reads until the answer's first field, or until no answer can follow.
func http2Status(r io.Reader) (status string) {
	decoder := hpack.NewDecoder(4<<10, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			status = f.Value
		}
	})
	for {
		header := make([]byte, 9)
		if _, err := io.ReadFull(r, header); err != nil {
			return ""
		}
		payload := make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
		if _, err := io.ReadFull(r, payload); err != nil {
			return ""
		}
		switch header[3] {
		case http2Headers:
			_, _ = decoder.Write(payload)
			return status
		case http2Reset, http2GoAway:
			return ""
		}
	}
}

// headerBlock returns the fields of a good request, with those given in place of its own.
func headerBlock(fields [][2]string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	all := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "h"}, {":path", "/"}}
	for _, field := range fields {
		replaced := false
		for i := range all {
			if all[i][0] == field[0] && field[0][0] == ':' {
				all[i], replaced = field, true
			}
		}
		if !replaced && field[0][0] == ':' {
			all = append([][2]string{field}, all...)
		} else if !replaced {
			all = append(all, field)
		}
	}
	for _, field := range all {
		if field[1] != "" {
			_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
		}
	}
	return block.Bytes()
}
