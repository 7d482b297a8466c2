package halfshake

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"strings"
)

// logger returns the logger for a level, or nil if the cache does not log at that level.
func (c *Cache) logger(ctx context.Context, level slog.Level) *slog.Logger {
	log := c.cfg.Logger
	if log == nil {
		if level < slog.LevelWarn {
			return nil
		}
		log = slog.Default()
	}
	if !log.Enabled(ctx, level) {
		return nil
	}
	return log
}

// logHandshake logs how a handshake went. If an offered session did not resume, explain
// has already logged why.
func (h *handshake) logHandshake(resumed bool) {
	log := h.cache.logger(h.ctx, slog.LevelDebug)
	if log == nil {
		return
	}
	attrs := append([]slog.Attr{slog.Bool("resumed", resumed)}, h.attrs()...)
	attrs = append(attrs, slog.Bool("offered", h.proposed))
	if s := h.current(); s != nil {
		attrs = append(attrs, slog.String("lineage", s.lineage.String()))
	}
	log.LogAttrs(h.ctx, slog.LevelDebug, "handshake", attrs...)
}

// explain logs why a proposed session is not resumed.
func (h *handshake) explain(id []byte, why string, more ...slog.Attr) {
	if log := h.cache.logger(h.ctx, slog.LevelDebug); log != nil {
		attrs := append([]slog.Attr{slog.String("why", why), slog.String("ref", refOf(string(id)))}, h.attrs()...)
		log.LogAttrs(h.ctx, slog.LevelDebug, "session not resumed", append(attrs, more...)...)
	}
}

// notCached counts and logs why a new session is not cached.
func (h *handshake) notCached(r Refusal) {
	h.cache.counters.refuse(r)
	if r == RefusedUnscoped && !h.policy.failed {
		h.cache.warnUnscoped()
	}
	if log := h.cache.logger(h.ctx, slog.LevelDebug); log != nil {
		log.LogAttrs(h.ctx, slog.LevelDebug, "session not cached", append([]slog.Attr{slog.String("why", r.String())}, h.attrs()...)...)
	}
}

// attrs returns the attributes that identify the connection in a log line.
func (h *handshake) attrs() []slog.Attr {
	return []slog.Attr{slog.String("version", versionName(h.info.Version)),
		slog.String("server_name", h.info.ServerName), addrAttr(h.info.RemoteAddr)}
}

// addrAttr returns the attribute for the client's address, or an empty one if it is not
// known.
func addrAttr(a net.Addr) slog.Attr {
	if a == nil {
		return slog.Attr{}
	}
	return slog.String("remote", a.String())
}

// warnUnscoped warns, once, that a configuration from GetConfigForClient asks for client
// certificates and that no session is cached under it.
func (c *Cache) warnUnscoped() {
	c.unscopedOnce.Do(func() {
		if log := c.logger(c.ctx, slog.LevelWarn); log != nil {
			log.Warn("a tls.Config from GetConfigForClient asks for client certificates, and no session is cached under it: set Config.Scope or Config.TrustID")
		}
	})
}

// warnNoAdmit warns, once, that sessions which allow early data do not resume.
func (c *Cache) warnNoAdmit() {
	c.noAdmitOnce.Do(func() {
		if log := c.logger(c.ctx, slog.LevelWarn); log != nil {
			log.Warn("sessions that allow early data do not resume, and a client that sends some may give up: set Callbacks.Admit beside Get, or turn early data off in the QUIC server")
		}
	})
}

// logFailing logs the failures of a callback since the last such line. why shows no id.
func (c *Cache) logFailing(which callback, failures int, why string) {
	if log := c.logger(c.ctx, slog.LevelWarn); log != nil {
		log.Warn("session callback fails", "callback", callbackNames[which], "failures", failures, "error", why)
	}
}

func (c *Cache) logWorksAgain(which callback) {
	if log := c.logger(c.ctx, slog.LevelWarn); log != nil {
		log.Warn("session callback works again", "callback", callbackNames[which])
	}
}

// withoutID returns text with the usual spellings of id replaced by its ref: the
// application may have put the id into its error's text.
func withoutID(text, id string) string {
	if len(id) == 0 {
		return text
	}
	raw := []byte(id)
	lower := hex.EncodeToString(raw)
	ref := "[session " + refOf(id) + "]"
	return strings.NewReplacer(
		id, ref, lower, ref, strings.ToUpper(lower), ref,
		fmt.Sprintf("% x", id), ref, fmt.Sprintf("% X", id), ref,
		fmt.Sprint(raw), ref, fmt.Sprintf("%#v", raw), ref, fmt.Sprintf("% #x", id), ref, fmt.Sprintf("% #X", id), ref, fmt.Sprintf("%q", id), ref, fmt.Sprintf("%+q", id), ref,
		base64.RawStdEncoding.EncodeToString(raw), ref, base64.RawURLEncoding.EncodeToString(raw), ref,
	).Replace(text)
}
