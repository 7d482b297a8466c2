package storetest

// The checks of one call after the other.

func checkPutGet(p *probe) {
	key, value := newKey(), newValue(100)
	p.put(key, value)
	p.want(key, value)
	p.want(key, value) // the first has not removed it
}

func checkReplace(p *probe) {
	key := newKey()
	for _, size := range []int{100, 3000, 10, 10} {
		value := newValue(size)
		p.put(key, value)
		p.want(key, value)
	}
	p.delete(key)
	p.wantAbsent(key) // there was one entry
}

func checkTake(p *probe) {
	key, value := newKey(), newValue(100)
	p.put(key, value)
	p.wantTaken(key, value)
	p.wantAbsent(key)

	again := newValue(100)
	p.put(key, again)
	p.want(key, again)
	p.wantTaken(key, again)
	p.wantAbsent(key)
}

func checkDelete(p *probe) {
	key, beside := newKey(), newKey()
	value, other := newValue(100), newValue(100)
	p.put(key, value)
	p.put(beside, other)
	p.delete(key)
	p.wantAbsent(key)
	p.delete(key)
	p.want(beside, other)

	p.put(key, value)
	p.want(key, value)
}

func checkAbsent(p *probe) {
	p.wantAbsent(newKey())
	p.delete(newKey())
}
