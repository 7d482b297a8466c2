// Package inspect implements "halfshake inspect". [Read] decodes the sessions in a file,
// and [Text] and [JSON] print them.
package inspect

import (
	"bytes"
	"fmt"
	"math"

	"github.com/halfshake/halfshake"
	"github.com/halfshake/halfshake/internal/sessionrecord"
	"github.com/halfshake/halfshake/internal/sessionref"
	"github.com/halfshake/halfshake/internal/sessionstate"
	"github.com/halfshake/halfshake/sslsession"
)

// A Format is the encoding that a session was in.
type Format string

const (
	Halfshake Format = "halfshake" // Session.MarshalBinary, and what a store's file contains
	DER       Format = "der"       // OpenSSL's SSL_SESSION
	PEM       Format = "pem"
)

// A Session is a session to print. It holds what OpenSSL's encoding holds, and own if the
// session is Halfshake's.
type Session struct {
	format Format
	ssl    *sslsession.Session
	own    *halfshake.Session
}

func (s *Session) ref() string { return sessionref.Of(string(s.ssl.ID)) }

// verifyResultUnspecified is X509_V_ERR_UNSPECIFIED. Cache.Export uses it for a
// certificate that the server did not verify.
const verifyResultUnspecified = 1

// fromRecord decodes a record of Halfshake's.
func fromRecord(record []byte) (*Session, error) {
	state, err := sessionrecord.Parse(record)
	if err != nil {
		return nil, err
	}
	own, err := halfshake.ParseSession(record)
	if err != nil {
		return nil, err
	}
	return fromOwn(own, state)
}

// fromOwn converts a session of Halfshake's. state is the state in its record.
func fromOwn(own *halfshake.Session, state sessionrecord.State) (*Session, error) {
	st, err := sessionstate.Parse(state.Bytes)
	if err != nil || st.Version != own.Version() || st.CipherSuite != own.CipherSuite() {
		return nil, fmt.Errorf("at byte %d: state of crypto/tls is damaged, or of a release of Go that this program does not know", state.Offset)
	}
	ssl := &sslsession.Session{
		Version: own.Version(), CipherSuite: own.CipherSuite(), ID: own.ID(), MasterKey: bytes.Clone(st.Secret),
		Time: own.Created().Unix(), Timeout: own.Expires().Unix() - own.Created().Unix(),
		ServerName: []byte(own.ServerName()), ALPN: []byte(own.ALPN()), TicketData: own.Data(), Group: uint32(st.CurveID),
	}
	if st.ExtendedMasterSecret {
		ssl.Flags |= sslsession.FlagExtendedMasterSecret
	}
	if st.EarlyData {
		ssl.MaxEarlyData = math.MaxUint32 // QUIC's only value (RFC 9001 section 4.6.1)
	}
	if len(st.Certificates) > 0 {
		ssl.PeerCertificate = bytes.Clone(st.Certificates[0])
		if len(st.Chains) == 0 {
			ssl.VerifyResult = verifyResultUnspecified
		}
	}
	return &Session{Halfshake, ssl, own}, nil
}
