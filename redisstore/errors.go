package redisstore

import (
	"fmt"

	"github.com/redis/go-redis/v9"
)

// advice is what to do about the errors that a server gives, by their first word.
var advice = []struct{ code, text string }{
	{"ERR This instance has cluster support disabled", "use redis.NewClient"},
	{"LOADING", "the server has just started and reads its data"},
	{"MASTERDOWN", "a replica has lost its primary"},
	{"MISCONF", "the server cannot write its snapshot to disk"},
	{"MOVED", "this is a node of a cluster: use redis.NewClusterClient"},
	{"NOAUTH", "the client's options have no password"},
	{"NOPERM", "package redisstore says which commands the user needs"},
	{"NOREPLICAS", "min-replicas-to-write is not met"},
	{"OOM", "the server's memory is full: raise maxmemory"},
	{"READONLY", "this is a replica: connect to the primary, or through Sentinel or Cluster, which find it"},
	{"WRONGPASS", "check the client's Username and Password"},
	{"WRONGTYPE", "something else writes under this prefix: choose another one"},
}

// failed says which method failed, and what to do about it.
func failed(method string, err error) error {
	if err == nil {
		return nil
	}
	for _, a := range advice {
		if redis.HasErrorPrefix(err, a.code) {
			return fmt.Errorf("redisstore: %s: %w (%s)", method, err, a.text)
		}
	}
	return fmt.Errorf("redisstore: %s: %w", method, err)
}
