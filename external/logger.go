package external

import (
	"context"
	"log/slog"
)

// A logger writes to [Config.Logger]. If that is nil, it writes warnings and errors to
// [slog.Default], which it looks up for each line.
type logger struct{ to *slog.Logger }

func (l logger) log(level slog.Level, message string, attrs ...slog.Attr) {
	to := l.to
	if to == nil {
		if level < slog.LevelWarn {
			return
		}
		to = slog.Default()
	}
	to.LogAttrs(context.Background(), level, message, attrs...)
}
