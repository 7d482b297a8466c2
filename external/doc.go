// Package external is a ready-made external session cache for package halfshake:
// the sessions of one server, or of a fleet, in a database, where they outlive the
// process.
//
//	store, err := boltstore.Open("/var/lib/halfshake/sessions.db", boltstore.Config{})
//	keys, err := external.ParseKeys(file)
//	sessions, err := external.New(store, external.Config{Keys: keys})
//	cache, err := halfshake.New(halfshake.Config{Callbacks: sessions.Callbacks()})
//
// Nothing in it is privileged: an application's own callbacks can do all that it
// does. What it adds, it adds once for every driver: ids that need no look-up to
// be told from invented ones, sealing, and limits in time and number, so that a
// store which fails costs full handshakes and never a failed one.
//
// # Who can read, and who can write, the store
//
// The store is not trusted with anything but to keep what it is given. It sees
// neither a session's id nor its secret: its keys are HMAC-SHA-256 digests of ids,
// its values are sealed with AES-256-GCM, each under a key of its own, derived from
// the fleet's key and the entry's.
//
// Who reads the store learns how many sessions there are, when each was put there
// and when it expires, and which of 26 sizes it has: large ones are
// those of clients with certificates. Not who they are, nor which of them belong
// together. Who watches the store's traffic learns the same, and which entries are
// asked for.
//
// Who writes to the store can lose a session, which costs its client a full
// handshake, and put back one that was removed, until the expiry that is sealed
// inside it, as far as no process remembers that it removed it. They cannot read,
// forge or extend a session, or move it to another id: what does not open is a
// miss, and the cache asks every session that does open for its id, scope, expiry
// and the rest, as it asks its own.
//
// Who has the key of the fleet and the store has the sessions, and can decrypt
// recorded connections of TLS 1.2 that were made or resumed with them, as with the
// key of stateless tickets; in TLS 1.3 the key exchange of each connection protects
// it. Forward secrecy returns when the entry is erased everywhere, backups
// included, or its key is: a rotation drops the keys under which no session can be
// valid any more.
//
// # What a fault of the store costs
//
// A read that fails, or takes longer than its limit, is a miss. After some failures
// in a row the store is left alone for a while and then tried again; that, and
// nothing else, is logged. Writes are queued and made in the background; when the
// queue is full, new sessions are not stored. A removal is tried again until it
// succeeds or its session has expired, as far as the queue has room for it; the
// process that asked for it does not find the session meanwhile, whatever the store
// answers, as long as it runs and no more than 32,768 were removed since. What is
// queued when the process is killed is lost, removals too. [Stats] counts it all.
package external
