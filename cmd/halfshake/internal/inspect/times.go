package inspect

import (
	"fmt"
	"time"
)

// assumedTimeout is the timeout in seconds of a session in DER that names none.
const assumedTimeout = 3

// times shows when the session was made and until when it may be resumed.
func (s *Session) times(now time.Time) []row {
	timeout, note := s.ssl.Timeout, ""
	if timeout == 0 && s.own == nil {
		timeout, note = assumedTimeout, ", which OpenSSL assumes because the session names none"
	}
	length := row{"timeout", fmt.Sprintf("%d s%s", timeout, note)}
	if s.ssl.Time == 0 {
		return []row{{"made", "not recorded; OpenSSL assumes the time of reading"}, length}
	}
	return []row{{"made", date(s.ssl.Time)}, length, expiry(s.ssl.Time, timeout, now.Unix())}
}

// expiry says how long the session may still be resumed, or since when it may not. It may
// be resumed in its last second.
func expiry(made, timeout, now int64) row {
	const most = 1 << 40 // s, far more than a calendar has; sums cannot overflow
	end := min(max(made, -most), most) + min(max(timeout, -most), most)
	switch {
	case !inCalendar(end) && end > now:
		return row{"expires", "never"}
	case now > end:
		return row{"expired", date(end) + ", " + span(now-end) + " ago"}
	}
	return row{"expires", date(end) + ", in " + span(end-now)}
}

func date(second int64) string {
	if text := stamp(second); text != "" {
		return text
	}
	return fmt.Sprintf("%d s after 1970", second)
}

// span writes a number of seconds, in days where there are some.
func span(seconds int64) string {
	const day = 24 * 60 * 60
	rest := (time.Duration(seconds%day) * time.Second).String()
	if seconds < day {
		return rest
	}
	return fmt.Sprintf("%dd%s", seconds/day, rest)
}
