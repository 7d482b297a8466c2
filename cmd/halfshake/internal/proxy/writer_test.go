package proxy

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestInformationalFiltered: a 100 is not passed on, because the server sends its own. A
// client of HTTP/1.0 gets no interim answers.
func TestInformationalFiltered(t *testing.T) {
	for _, c := range []struct {
		proto, status int
		passes        bool
	}{{1, 100, false}, {1, 103, true}, {1, 200, true}, {0, 103, false}, {0, 200, true}} {
		in := httptest.NewRequest("GET", "/", nil)
		in.ProtoMinor = c.proto
		w := &statuses{ResponseWriter: httptest.NewRecorder()}
		x := &exchange{proxy: NewHTTP(Target{}, HTTPOptions{}), in: in, control: http.NewResponseController(w)}
		(&writer{ResponseWriter: w, exchange: x}).WriteHeader(c.status)
		if passed := len(w.list) > 0; passed != c.passes {
			t.Errorf("HTTP/1.%d, %d: passed on %v", c.proto, c.status, passed)
		}
	}
}

type statuses struct {
	http.ResponseWriter
	list []int
}

func (s *statuses) WriteHeader(status int) { s.list = append(s.list, status) }
