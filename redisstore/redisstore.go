package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const defaultPrefix = "authcode:"

// Options of a [Store]. The zero value is ready.
type Options struct {
	// Prefix begins every key in Redis; "" is "authcode:". Apps that share a Redis may share a prefix, since the core's keys
	// name the app (as a hash); an ACL is a reason for another one. With a hash tag in it ("{authcode}:") a Cluster keeps all
	// records on one node.
	Prefix string
}

// Store is an authcode.Store, Leaser and Lister in Redis. It is safe for concurrent use. The client stays its owner's, who
// closes it.
type Store struct {
	client redis.UniversalClient
	prefix string
}

// New makes a Store of a client: a *redis.Client (NewFailoverClient's, too) or a *redis.ClusterClient. A *redis.Ring is none
// for records, since it moves keys to other servers when one is away, where they are missing; [Store.Check] says so.
//
// nil options mean the zero value. New asks the server nothing.
func New(client redis.UniversalClient, options *Options) *Store {
	s := &Store{client: client, prefix: defaultPrefix}
	if options != nil && options.Prefix != "" {
		s.prefix = options.Prefix
	}
	return s
}

// Get gives the record under key from the primary, as authcode.Store says.
func (s *Store) Get(ctx context.Context, key string) (data []byte, version string, found bool, err error) {
	answer, err := s.run(ctx, getScript, key)
	if err != nil {
		return nil, "", false, failed("Get", err)
	}
	fields, _ := answer.([]any)
	if len(fields) == 0 {
		return nil, "", false, nil
	}
	version, isText := fields[0].(string)
	text, isData := fields[len(fields)-1].(string)
	if len(fields) != 2 || !isText || !isData {
		return nil, "", false, failed("Get", errors.New("the record has fields of an unknown kind: something else writes under this prefix"))
	}
	return []byte(text), version, true, nil
}

// Swap writes the record if the stored version is oldVersion, as authcode.Store says.
func (s *Store) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (swapped bool, err error) {
	run := s.run
	if oldVersion == "" {
		run = s.runOnce
	}
	answer, err := run(ctx, swapScript, key, oldVersion, newVersion, string(data), ttl.Milliseconds())
	return answer == int64(1), failed("Swap", err)
}

// Delete removes the record and leaves a lease on its key alone.
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.run(ctx, deleteScript, key)
	return failed("Delete", err)
}

// Lease gives owner the key for ttl if nobody else has it, as authcode.Leaser says.
func (s *Store) Lease(ctx context.Context, key, owner string, ttl time.Duration) (granted bool, err error) {
	answer, err := s.run(ctx, leaseScript, key, owner, ttl.Milliseconds())
	return answer == int64(1), failed("Lease", err)
}

// Release ends owner's lease and nobody else's.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	_, err := s.run(ctx, releaseScript, key, owner)
	return failed("Release", err)
}
