package testserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
)

// Redis is a running redis-server.
type Redis struct {
	*process
	// Address is host:port.
	Address string
	// Password is the default user's.
	Password string

	bus int // the port of a cluster's nodes among themselves
}

// StartRedis runs a redis-server with arguments besides its own, as for instance "--maxmemory", "1mb". It keeps nothing on disk
// unless they say so.
func StartRedis(arguments ...string) (*Redis, error) {
	return startRedis(newPassword(), arguments...)
}

func startRedis(password string, arguments ...string) (*Redis, error) {
	program, err := redisProgram()
	if err != nil {
		return nil, err
	}
	return onFreePort(func(port int) (*Redis, error) {
		directory, err := newDirectory(nil)
		if err != nil {
			return nil, err
		}
		own := []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", directory, "--save", "", "--appendonly", "no",
			"--requirepass", password, "--masterauth", password, "--repl-diskless-sync-delay", "0",
		}
		p, err := start(exec.Command(program, append(own, arguments...)...), directory, politely, regexp.MustCompile(`Ready to accept connections`))
		if err != nil {
			_ = os.RemoveAll(directory)
			return nil, err
		}
		return &Redis{process: p, Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Password: password}, nil
	})
}

func redisProgram() (string, error) {
	program, err := find("redis-server", "redis-server")
	if valkey, absent := find("valkey-server", "valkey-server"); err != nil && absent == nil {
		return valkey, nil
	}
	return program, err
}

// Do sends one command on a connection of its own and gives the answer: a status, a number or a text.
func (r *Redis) Do(arguments ...string) (string, error) {
	c, err := dialRedis(r.Address, r.Password)
	if err != nil {
		return "", err
	}
	defer c.close()
	answer, err := c.do(arguments...)
	if err != nil {
		return "", fmt.Errorf("%s at %s: %w", arguments[0], r.Address, err)
	}
	return answer, nil
}

// StartReplica runs a replica of r, and waits until it has r's data.
func (r *Redis) StartReplica() (*Redis, error) {
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return nil, err
	}
	replica, err := startRedis(r.Password, "--replicaof", host+" "+port)
	if err != nil {
		return nil, err
	}
	if err := replica.waitFor("role:slave(.|\n)*master_link_status:up", "INFO", "replication"); err != nil {
		replica.Stop()
		return nil, err
	}
	return replica, nil
}
