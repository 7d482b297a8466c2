package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestBodyEndsOnce: net/http's transport reads again after the end, when its server may
// have closed the body.
func TestBodyEndsOnce(t *testing.T) {
	w := httptest.NewRecorder()
	x := &exchange{proxy: NewHTTP(Target{}, HTTPOptions{}), in: httptest.NewRequest("POST", "/", nil), control: http.NewResponseController(w)}
	body := &requestBody{ReadCloser: io.NopCloser(&onceEnded{}), exchange: x}
	for range 3 {
		if _, err := body.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
	}
}

// onceEnded returns io.EOF only once.
type onceEnded struct{ ended bool }

func (b *onceEnded) Read([]byte) (int, error) {
	if b.ended {
		return 0, http.ErrBodyReadAfterClose
	}
	b.ended = true
	return 0, io.EOF
}
