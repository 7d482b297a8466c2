package storetest

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/halfshake/halfshake/external"
)

// checkErrorsKeepSecrets makes a store return all the errors that a sound one
// can be brought to return, and looks for the key and the value in them.
func checkErrorsKeepSecrets(p *probe) {
	for _, ctx := range doneContexts() {
		for _, op := range []Op{Put, Get, Take, Delete} {
			key, value := newKey(), newValue(100)
			p.put(key, value)
			_, err := promptly(ctx, p, op, storeOps(p.store, key, value)[op])
			p.wantNoSecrets(op, err, key, value)
		}
	}
	for _, op := range []Op{Get, Take} {
		key := newKey()
		ctx, cancel := opContext()
		_, err := storeOps(p.store, key, nil)[op](ctx)
		cancel()
		p.wantNoSecrets(op, err, key, nil)
	}
}

func (p *probe) wantNoSecrets(op Op, err error, key external.Key, value []byte) {
	p.Helper()
	if err == nil {
		return
	}
	if shows(err, key[:]) {
		fatalf(p, "the error of %v has more of the key than Key.String", op)
	}
	if shows(err, value) {
		fatalf(p, "the error of %v has bytes of the value", op)
	}
}

// shown is how many bytes in a row are found in an error: one more than
// Key.String has, and a number that base64 has no remainder of.
const shown = 9

// shows reports whether err has a part of secret in one of the forms in which
// bytes are printed.
func shows(err error, secret []byte) bool {
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for part := range slices.Chunk(secret, shown) {
		if len(part) == shown && slices.ContainsFunc(printed(part), func(form string) bool { return strings.Contains(text, form) }) {
			return true
		}
	}
	return false
}

func printed(b []byte) []string {
	quoted := strconv.Quote(string(b))
	return []string{
		string(b),
		quoted[1 : len(quoted)-1],
		hex.EncodeToString(b),
		strings.ToUpper(hex.EncodeToString(b)),
		base64.StdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b),
		strings.Trim(fmt.Sprint(b), "[]"),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"),
	}
}
