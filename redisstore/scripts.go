package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// A key is a hash: of its record the version v, the data d and the time e when it is over; of its lease the owner o and the time
// u until which they have it. Times are milliseconds since 1970 by the server's clock. The hash itself lives until the later of
// the two, so a record that is over under a lease is still there, and every script looks at e.
const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function digits(number) return string.format('%.0f', number) end
local function keep(until1, until2)
  redis.call('PEXPIREAT', KEYS[1], digits(math.max(tonumber(until1 or 0), tonumber(until2 or 0))))
end
`

var (
	// A replica runs scripts that only read, and answers with the past. So this one also writes, what changes nothing: the
	// primary takes it (or has another reason against writes, which does not concern a reader), a replica refuses.
	getScript = redis.NewScript(clock + `
local written = redis.pcall('HDEL', KEYS[1], '')
if type(written) == 'table' and written.err and string.find(written.err, 'READONLY', 1, true) then return written end
local record = redis.call('HMGET', KEYS[1], 'v', 'd', 'e')
if not record[1] or tonumber(record[3]) <= now then return {} end
return {record[1], record[2]}
`)

	swapScript = redis.NewScript(clock + `
local key = redis.call('HMGET', KEYS[1], 'v', 'e', 'u')
local stored = ''
if key[1] and tonumber(key[2]) > now then stored = key[1] end
if stored == ARGV[2] then return 1 end
if stored ~= ARGV[1] then return 0 end
local over = digits(now + ARGV[4])
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'd', ARGV[3], 'e', over)
keep(over, key[3])
return 1
`)

	deleteScript = redis.NewScript(clock + `
local leased = redis.call('HGET', KEYS[1], 'u')
if leased and tonumber(leased) > now then
  redis.call('HDEL', KEYS[1], 'v', 'd', 'e')
  keep(leased)
else
  redis.call('DEL', KEYS[1])
end
return 1
`)

	leaseScript = redis.NewScript(clock + `
local key = redis.call('HMGET', KEYS[1], 'o', 'u', 'e')
if key[1] and key[1] ~= ARGV[1] and tonumber(key[2]) > now then return 0 end
local leased = digits(now + ARGV[2])
redis.call('HSET', KEYS[1], 'o', ARGV[1], 'u', leased)
keep(leased, key[3])
return 1
`)

	releaseScript = redis.NewScript(clock + `
local key = redis.call('HMGET', KEYS[1], 'o', 'e')
if key[1] ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'o', 'u')
if key[2] then keep(key[2]) end
return 1
`)
)

// isRecord is run for many keys at once, by its text.
const isRecord = clock + `
local over = redis.call('HGET', KEYS[1], 'e')
if over and tonumber(over) > now then return 1 end
return 0
`

// run runs a script on one key: on the primary, since scripts may write.
func (s *Store) run(ctx context.Context, script *redis.Script, key string, arguments ...any) (any, error) {
	return await(ctx, func() (any, error) {
		return script.Run(ctx, s.client, []string{s.prefix + key}, arguments...).Result()
	})
}

// runOnce is run, and the client does not repeat it.
func (s *Store) runOnce(ctx context.Context, script *redis.Script, key string, arguments ...any) (any, error) {
	return await(ctx, func() (any, error) {
		command := onceCommand(ctx, script, s.prefix+key, arguments)
		err := s.client.Process(ctx, command)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			if err := script.Load(ctx, s.client).Err(); err != nil { // on all nodes
				return nil, err
			}
			command = onceCommand(ctx, script, s.prefix+key, arguments)
			err = s.client.Process(ctx, command)
		}
		return command.Val(), err
	})
}

// once is a command that the client sends once.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

func onceCommand(ctx context.Context, script *redis.Script, key string, arguments []any) once {
	const keyPosition = 3
	command := redis.NewCmd(ctx, append([]any{"evalsha", script.Hash(), 1, key}, arguments...)...)
	command.SetFirstKeyPos(keyPosition)
	return once{command}
}

// await ends when ctx does. The client itself waits for an answer as long as its ReadTimeout says, and the call goes on until
// then.
func await[V any](ctx context.Context, call func() (V, error)) (V, error) {
	type outcome struct {
		value V
		err   error
	}
	var none V
	if err := ctx.Err(); err != nil {
		return none, err
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := call()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
