package proxy

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for text, want := range map[string]Target{
		"http://localhost":             {"http", "localhost:80"},
		"http://localhost/":            {"http", "localhost:80"},
		"http://localhost:8080":        {"http", "localhost:8080"},
		"HTTP://127.0.0.1:1/":          {"http", "127.0.0.1:1"},
		"http://[::1]":                 {"http", "[::1]:80"},
		"http://[fe80::1%25lo]:65535":  {"http", "[fe80::1%lo]:65535"},
		"http://my_app-1.internal:80/": {"http", "my_app-1.internal:80"},
		"tcp://127.0.0.1:6379":         {"tcp", "127.0.0.1:6379"},
		"tcp://[::1]:6379":             {"tcp", "[::1]:6379"},
	} {
		var got Target
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || !got.Given() {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	if (Target{}).Given() || (Target{}).String() != "" {
		t.Error("the zero Target counts as given")
	}
}

func TestParseTargetRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                          "http://HOST:PORT or tcp://HOST:PORT",
		"localhost":                 "http://HOST:PORT or tcp://HOST:PORT",
		"localhost:8080":            "http://HOST:PORT or tcp://HOST:PORT",
		"127.0.0.1:8080":            "http://HOST:PORT or tcp://HOST:PORT",
		"http:localhost":            "http://HOST:PORT or tcp://HOST:PORT",
		"http:///":                  "http://HOST:PORT or tcp://HOST:PORT",
		"http://a b":                "http://HOST:PORT or tcp://HOST:PORT",
		"http://[::1":               "http://HOST:PORT or tcp://HOST:PORT",
		"http://::1:80":             "http://HOST:PORT or tcp://HOST:PORT",
		"http://h:port":             "http://HOST:PORT or tcp://HOST:PORT",
		"https://h:8443":            "give its HTTP port, as in http://h:8443",
		"ftp://h":                   "give http://h or tcp://h",
		"unix:///run/app.sock":      "http://HOST:PORT or tcp://HOST:PORT",
		"http://user:hunter2@h":     "leave it out",
		"http://user@":              "leave it out",
		"http://h/app":              "give http://h alone",
		"http://h/%2F":              "give http://h alone",
		"tcp://h:1/":                "give tcp://h:1 alone",
		"http://h?":                 "give http://h alone",
		"http://h/?a=b":             "give http://h alone",
		"tcp://h:1#f":               "give tcp://h:1 alone",
		"http://h#":                 "give http://h alone",
		"http://:8080":              "no usable host",
		"tcp://*:1":                 "no usable host",
		"http://a,b:80":             "no usable host",
		"http://[127.0.0.1]:80":     "http://HOST:PORT or tcp://HOST:PORT",
		"tcp://h":                   "as in tcp://h:8080",
		"tcp://h:":                  "as in tcp://h:8080",
		"http://h:0":                "from 1 to 65535",
		"http://[::1]:65536":        "as in http://[::1]:8080",
		"http://h:-1":               "http://HOST:PORT or tcp://HOST:PORT",
		"http://h\x00":              "http://HOST:PORT or tcp://HOST:PORT",
		"tcp://h:99999999999999999": "from 1 to 65535",
	} {
		target, err := ParseTarget(text)
		if err == nil || !strings.Contains(err.Error(), says) || target.Given() {
			t.Errorf("%q: %+v, %v; want an error with %q", text, target, err, says)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error has the password: %v", text, err)
		}
	}
}
