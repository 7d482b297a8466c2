/* The clock that libssl sees: these functions stand in front of the C library's. */
#define _GNU_SOURCE
#include "runner.h"
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long start, now;

void clock_start(long t) { start = now = t; }
void clock_advance(long seconds) { now += seconds; }
long clock_now(void) { return now; }
long clock_offset(long t) { return t - start; }

time_t time(time_t *out)
{
	if (out != NULL)
		*out = now;
	return now;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	(void)zone;
	tv->tv_sec = now;
	tv->tv_usec = 0;
	return 0;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = now;
	ts->tv_nsec = 0;
	return 0;
}

/* clock_probe stops the program unless libssl's sessions are made at our time, twice. */
void clock_probe(void)
{
	for (int i = 0; i < 2; i++) {
		SSL_SESSION *s = SSL_SESSION_new();
		long made = s != NULL ? SSL_SESSION_get_time(s) : -1;
		SSL_SESSION_free(s);
		if (made != now)
			die("libssl does not use the clock of this program: SSL_SESSION_new made a session at %ld, and the clock says %ld", made, now);
		clock_advance(i == 0 ? 1000 : -1000);
	}
}
