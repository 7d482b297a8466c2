// Package external is a ready-made external session cache for package halfshake. It
// keeps the sessions of one server, or of a fleet, in a database, where they outlive the
// process. [New] makes an [External] over a [Store]; [External.Callbacks] connects it to a
// cache:
//
//	store, err := boltstore.Open("/var/lib/halfshake/sessions.db", boltstore.Config{})
//	keys, err := external.ParseKeys(file)
//	sessions, err := external.New(store, external.Config{Keys: keys})
//	cache, err := halfshake.New(halfshake.Config{Callbacks: sessions.Callbacks()})
//
// An application's own callbacks can do everything that this package does. It does three
// things for every driver. Its session ids carry a MAC, so an invented id costs no
// look-up. It seals sessions. It limits calls in time and number, so a failing store
// costs full handshakes, never a failed one.
//
// # What an attacker with the store can do
//
// The store is trusted only to keep what it is given. It sees neither a session's id nor
// its secret. Its keys are HMAC-SHA-256 digests of ids. Its values are sealed with
// AES-256-GCM, each under its own key, which is derived from the fleet's key and the
// entry's key.
//
// An attacker who can read the store learns how many sessions it holds, when each was
// stored and when it expires, and which of 26 sizes it has; large sessions belong to
// clients with certificates. The attacker does not learn who the clients are, or which
// sessions belong to the same client. An attacker who watches the store's traffic learns
// the same, and which entries are read.
//
// An attacker who can write to the store can delete a session, which costs its client a
// full handshake. They can also put back a session that was removed, until the expiry
// sealed inside it, unless a process remembers the removal. They cannot read, forge or
// extend a session, or move it to another id: a value that does not open is a miss. The
// cache checks the id, scope, expiry and everything else of a session that does open,
// just as it checks its own.
//
// An attacker who has the fleet's key and the store has the sessions. They can decrypt
// recorded TLS 1.2 connections that made or resumed these sessions, just as with the key
// of stateless tickets. In TLS 1.3 the key exchange of each connection protects it.
// Forward secrecy returns once the entry is erased everywhere, backups included, or once
// its key is erased. A rotation drops the keys under which no session can still be valid.
//
// # What a failing store costs
//
// A read that fails or exceeds its time limit is a miss. After some failures in a row the
// store is left alone for a while and then tried again. Only this is logged.
//
// Writes are queued and made in the background. When the queue is full, new sessions are
// not stored. A removal is tried again until it succeeds or its session has expired, if
// the queue has room for it. Meanwhile the process that asked for the removal does not
// find the session, whatever the store answers. It forgets a removal after 32,768 later
// ones. If the process is killed, queued writes are lost, and so are queued removals.
// [Stats] counts all of this.
package external
