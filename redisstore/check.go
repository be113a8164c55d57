package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

var errUnknownClient = errors.New("the client is neither a *redis.Client nor one that knows its servers (ForEachMaster): wrap one of these by embedding it")

// Check asks the servers, when a program starts, for what may lose records, and gives one line for each thing it finds: a server
// that may evict records (any policy but noeviction: all of them have a time to live, so volatile-* is no better than allkeys-*),
// that keeps nothing on disk, or that is a replica; and what it could not find out, since services that manage Redis refuse
// CONFIG. It is for a log: an app may start in spite of it.
//
// An error means that a server could not be asked at all.
func (s *Store) Check(ctx context.Context) (warnings []string, err error) {
	if _, is := s.client.(*redis.Ring); is {
		warnings = append(warnings, "a redis.Ring moves keys to other servers when one is away, where they are missing: use Sentinel or Cluster")
	}
	primaries, err := await(ctx, func() ([]*redis.Client, error) { return s.primaries(ctx) })
	if err != nil {
		return warnings, failed("Check", err)
	}
	for _, primary := range primaries {
		found, err := await(ctx, func() ([]string, error) { return checkServer(ctx, primary) })
		if err != nil {
			return warnings, failed("Check", err)
		}
		for _, w := range found {
			warnings = append(warnings, fmt.Sprintf("redis at %s %s", primary.Options().Addr, w))
		}
	}
	return warnings, nil
}

func checkServer(ctx context.Context, server *redis.Client) (warnings []string, err error) {
	text, err := server.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	info := parseInfo(text)
	if info["role"] == "slave" {
		warnings = append(warnings, "is a replica and will refuse everything: connect to the primary, or through Sentinel or Cluster")
	}
	switch policy := info["maxmemory_policy"]; {
	case policy == "":
		warnings = append(warnings, "does not say its maxmemory-policy: make sure that it is noeviction")
	case policy != "noeviction" && info["maxmemory"] != "0":
		warnings = append(warnings, fmt.Sprintf("may evict records when its memory is full, and their users sign in again: set maxmemory-policy noeviction instead of %s", policy))
	}
	return append(warnings, checkPersistence(ctx, server, info["aof_enabled"] == "1")...), nil
}

func checkPersistence(ctx context.Context, server *redis.Client, appends bool) []string {
	if appends {
		return nil
	}
	save, err := server.ConfigGet(ctx, "save").Result()
	switch {
	case err != nil:
		return []string{fmt.Sprintf("does not say whether it keeps snapshots (CONFIG GET save: %v): without them or an append-only file a restart signs all users out", err)}
	case save["save"] == "":
		return []string{"keeps nothing on disk, so that a restart signs all users out: set appendonly yes"}
	}
	return nil
}

// parseInfo reads INFO's lines of name:value.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			info[name] = value
		}
	}
	return info
}
