// Package redisstore keeps authcode's records in Redis or Valkey: on one server, behind Sentinel, or in a Cluster.
//
//	client := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{"redis.example.com:6379"}})
//	store := redisstore.New(client, nil)
//	app, err := authcode.NewApp(tenantID, clientID, redirectURI, auth, &authcode.AppOptions{Store: store, Sealer: sealer})
//
// Each record is one hash with its lease in it, so that every step is one Lua script on one key: one step for all who look,
// also in a Cluster. Times are the server's. Redis 5 and Valkey 7.2 are the oldest that have what it takes; the user of an ACL
// needs the commands eval, evalsha, time, hmget, hget, hset, hdel, del, pexpireat, scan and for [Store.Check] info and config.
//
// Its tests run on Redis 7.0: on one server, in a Cluster, and behind Sentinel, whose primary they also kill. They have not run on
// Valkey.
//
// # What it guarantees, and what it cannot
//
// A write that succeeded is read by everybody afterwards, and of several that compete one wins, as long as one primary has the
// key. Reads go to the primary whatever the client's ReadOnly and RouteByLatency say, and a replica that is asked by mistake
// gives an error.
//
// Redis replicates after it has answered. A failover may forget the writes of the last moment, and a record is then as it was
// before: with Entra ID that costs a refresh, since its old refresh tokens stay good. With a server that takes each refresh
// token once, use package pgstore. A record that memory pressure evicts, or that a restart without persistence loses, is a user
// who signs in again: [Store.Check] says at the start of a program what it finds.
//
// # Errors and repetitions
//
// An error wraps the client's or the server's own, and leaves open whether a write happened. The client repeats commands whose
// answer was lost (MaxRetries of its options). A repeated Swap finds its own version and gives true; if somebody has replaced
// the record meanwhile it gives false, as if it had come too late. A Swap from no version is not repeated: it could bring back
// what a Delete in between has removed.
package redisstore
