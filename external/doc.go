// Package external keeps the sessions of a halfshake.Cache in a database, where they
// outlive the process and where the machines of a fleet share them. [New] makes an
// [External] over a [Store], and [External.Callbacks] connects it to a Cache:
//
//	keys, err := external.ParseKeys(file) // made once by "halfshake keygen"
//	sessions, err := external.New(store, external.Config{Keys: keys})
//	cache, err := halfshake.New(halfshake.Config{Callbacks: sessions.Callbacks()})
//
// The database never sees a session id or a secret, and a database that is slow, dead
// or lying costs full handshakes, never a failed one. Close the Cache first, then the
// External, then the Store. Package boltstore, which keeps sessions in a file, does all
// of this in one call.
//
// An External has no privileges: an application's own callbacks can do all that it
// does.
//
// # Who can read the store, and who can write to it
//
// The store's keys are HMAC-SHA-256 digests of session ids. Its values are sealed with
// AES-256-GCM, each under a key of its own, which is derived from the fleet's key and
// the store's key of the entry.
//
// An attacker who reads the store learns how many sessions there are, when each was put
// and when it expires, whether its client had completed its handshake, and which of 26
// sizes it has: large ones belong to clients with certificates. The size of the
// revocation log says roughly how much it names. The attacker does not learn who the
// clients are, or which sessions belong together. An attacker who watches the store's
// traffic also learns which entries are asked for.
//
// An attacker who writes to the store can delete a session, which costs its client a
// full handshake. They can put back a session that was removed, until it expires, once
// no process remembers the removal, and put back an earlier revocation log, which
// deceives processes that start later. They cannot read, forge or extend a session, or
// move it to another id: the Cache asks of a session from the store all that it asks of
// its own.
//
// An attacker who has the store and the fleet's key has the sessions, and can decrypt
// recorded TLS 1.2 connections that made or resumed one of them, as with the key of
// stateless tickets. In TLS 1.3 the key exchange of each connection protects it. Forward
// secrecy returns when the entry has been erased everywhere, backups included, or its
// key has: a rotation drops the keys under which no session can be valid any more.
//
// A store belongs to one fleet, that is, to machines with the same keys. A second fleet
// in the same store could not read the first one's revocation log, and would replace it.
//
// # What a fault of the store costs
//
// A read that fails, or exceeds its limit, is a miss. After some failures in a row the
// store is left alone for a while and then tried again. Only that is logged, when it
// begins and when it ends.
//
// New sessions are written in the background. A session whose client has not completed
// its handshake yet waits for that, for up to a second, so that the store can evict
// unfinished ones first. When the queue is full, new sessions are not stored. [Stats]
// counts everything.
//
// # What a removal promises
//
// A removed session is not found again in this process from the moment at which it is
// removed, whatever the store does: neither by a look-up that was already in flight, nor
// in a write that was queued. The same holds for lineages, for a flush of everything,
// and for a key that [External.SetKeys] takes out of force. What an application removes
// or revokes has been recorded by the store when the call returns, unless the deadline
// of its context passed first. What clients cause to be removed, by an alert for
// example, is recorded soon after.
//
// A session is removed by deleting its entry. Lineages, flushes and replaced keys are
// recorded in the revocation log, which the next process loads before it resumes
// anything. A removal that the store has not acknowledged is tried again until it has
// been, and [Stats.RemovalsPending] counts it. [External.Close] returns an error if any
// are left.
//
// What is remembered is bounded, and refuses more when it is full. If 65,536 removals by
// the application wait for the store, floors take the place of the eighth whose lineages
// began first: every lineage of the same scope that began at the floor or earlier has
// ended. When the log holds more than 8,192 lineages, a floor for every scope takes the
// place of the eighth that began first. If 65,536 removals caused by clients wait, no new
// sessions are stored until some have been recorded; of further removals that clients
// cause, some may be forgotten.
//
// [halfshake.Cache.Add] of a session that was removed has an effect once the store has
// acknowledged the deletion, and only in the Cache that removed it.
//
// A session that may be used once is taken from the store by whichever process resumes it:
// one that allows early data in a server, and every TLS 1.3 session of a client.
//
// # The sessions of clients
//
// A client of [halfshake.Cache.ClientConfig] finds its sessions by a list, which lies in the
// store beside them: the ids of the newest four for a server, sealed, under a digest of
// whom it connects to and as whom. In the store it looks like another session. Whoever
// deletes or replaces a list makes the client's handshakes full ones. A store that is dead,
// full or lying does the same.
//
// # What a crash loses
//
// A process that is killed loses the sessions in its queue, which are at most some
// seconds old, and the removals that the store has not acknowledged. Those sessions may
// resume until they expire. What the store itself loses in a crash or a failover is
// documented by its driver.
//
// A removal is not announced to other machines: one that holds a copy of the session in
// its Cache's own memory goes on resuming it. A lineage that has ended is refused
// elsewhere by processes that start, or that write the log, after it.
package external
