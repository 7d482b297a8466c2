# Reads the output of go test -v and prints what a reader of a terminal wants:
# the line of each package, the skips with their reasons, and all that failed.
# Lines are held back until the test that printed them is known to have passed.

function keep(line) {
	text[test, ++lines[test]] = line
}

function drop(name, i) {
	for (i = 1; i <= lines[name]; i++) delete text[name, i]
	delete lines[name]
}

function release(name, i, first) {
	first = lines[name] > 500 ? lines[name] - 499 : 1
	if (first > 1) print "    (" first - 1 " lines before these)"
	for (i = first; i <= lines[name]; i++) print text[name, i]
	drop(name)
}

function finish(show, name) {
	for (name in lines) {
		if (show) release(name)
		else drop(name)
	}
	test = ""
}

/^=== (RUN|CONT|NAME|PAUSE) / { test = $3; next }

/^ *--- PASS: / { drop($3); test = ""; next }

/^ *--- (FAIL|SKIP): / {
	name = $3
	print
	release(name)
	# What follows without a header belongs to no test: a panic's trace, above all.
	test = ""
	next
}

/^\?.*\[no test files\]$/ || /^\t.*coverage: / { finish(0); next }

/^ok  \t/ { finish(0); print; fflush(); next }

/^FAIL\t/ { finish(1); print; fflush(); next }

/^(PASS|FAIL)$/ { next }

{ keep($0) }

END { finish(1) }
