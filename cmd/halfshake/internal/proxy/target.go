package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A Target is the address of a backend. The zero Target means that there is no backend.
type Target struct {
	Scheme  string // "http" or "tcp"
	Address string // HOST:PORT, to dial
}

// Given reports whether t is not the zero Target.
func (t Target) Given() bool { return t != Target{} }

// String returns the URL that ParseTarget parses to t.
func (t Target) String() string {
	if !t.Given() {
		return ""
	}
	return t.Scheme + "://" + t.Address
}

// UnmarshalText calls ParseTarget. It is for flags.
func (t *Target) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTarget(string(text))
	return err
}

// ParseTarget reads http://HOST[:PORT][/], where the port is 80 unless given, or
// tcp://HOST:PORT. A host is a name, an IPv4 address or an IPv6 address in
// brackets.
func ParseTarget(text string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Host == "" && u.User == nil {
		return Target{}, errors.New("this is not the URL of a backend; give http://HOST:PORT or tcp://HOST:PORT")
	}
	if err := checkTarget(u, text); err != nil {
		return Target{}, err
	}
	port := u.Port()
	if port == "" && u.Scheme == "http" {
		port = "80"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Target{}, fmt.Errorf("the backend %s has no usable port; give one from 1 to 65535, as in %s://%s", u.Host, u.Scheme, net.JoinHostPort(u.Hostname(), "8080"))
	}
	return Target{u.Scheme, net.JoinHostPort(u.Hostname(), port)}, nil
}

// checkTarget refuses parts that a backend's URL must not have. Its error does not quote a
// user name, because that may come with a password.
func checkTarget(u *url.URL, text string) error {
	plain := "http://" + u.Host
	switch {
	case u.User != nil:
		return errors.New("the backend's URL has a user name; leave it out, as in http://HOST:PORT: clients send their own credentials")
	case u.Scheme == "https":
		return fmt.Errorf("https: is not supported, because the backend is reached in the clear; give its HTTP port, as in %s", plain)
	case u.Scheme != "http" && u.Scheme != "tcp":
		return fmt.Errorf("%s: is not supported for a backend; give http://%s or tcp://%[2]s", u.Scheme, u.Host)
	case strings.ContainsAny(text, "?#"):
		return fmt.Errorf("the backend's URL has a query or a fragment; give %s://%s alone", u.Scheme, u.Host)
	case u.Scheme == "tcp" && u.Path != "":
		return fmt.Errorf("the backend's URL has a path; give tcp://%s alone", u.Host)
	case u.Path != "" && u.Path != "/":
		return fmt.Errorf("the backend's URL has a path; give %s alone: paths are passed on as clients send them", plain)
	case !isHost(u.Hostname()):
		return fmt.Errorf("the backend's URL has no usable host; give one, as in %s://127.0.0.1:8080", u.Scheme)
	}
	return nil
}

// isHost reports whether a backend may have this name or address. It refuses an empty
// name, which would silently mean this machine.
func isHost(name string) bool {
	if strings.Contains(name, ":") {
		addr, err := netip.ParseAddr(name)
		return err == nil && addr.Is6()
	}
	return name != "" && isMadeOf(name, "-._")
}

// isMadeOf reports whether s consists of letters, digits and characters of others.
func isMadeOf(s, others string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		letterOrDigit := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		return !letterOrDigit && !strings.ContainsRune(others, c)
	})
}
