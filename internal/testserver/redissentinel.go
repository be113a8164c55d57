package testserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	replicas  = 2
	sentinels = 3
	quorum    = 2 // sentinels that must miss the primary

	// Silence after which a server is down: on a busy machine one that is only slow is none, so nothing but Failover makes one.
	patient   = 10 * time.Minute
	impatient = time.Second
)

// RedisSentinel is a running primary with two replicas, and three sentinels that replace it.
type RedisSentinel struct {
	// Primary is who leads at first.
	Primary *Redis
	// Replicas follow it.
	Replicas []*Redis
	// Sentinels are whom clients ask for the primary.
	Sentinels []*Redis
	// Name is the primary's for the sentinels, whoever it is.
	Name string
	// Password is the default user's, on all of them.
	Password string
}

// StartRedisSentinel runs them.
func StartRedisSentinel() (*RedisSentinel, error) {
	primary, err := StartRedis()
	if err != nil {
		return nil, err
	}
	s := &RedisSentinel{Primary: primary, Name: "authcode", Password: primary.Password}
	if err := s.surround(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// surround gives the primary its replicas first: a sentinel that finds none looks again only after ten seconds.
func (s *RedisSentinel) surround() error {
	for range replicas {
		replica, err := s.Primary.StartReplica()
		if err != nil {
			return err
		}
		s.Replicas = append(s.Replicas, replica)
	}
	for range sentinels {
		sentinel, err := s.startSentinel()
		if err != nil {
			return err
		}
		s.Sentinels = append(s.Sentinels, sentinel)
	}
	agreed := fmt.Sprintf("status=ok,address=%s,slaves=%d,sentinels=%d", regexp.QuoteMeta(s.Primary.Address), replicas, sentinels)
	for _, sentinel := range s.Sentinels {
		if err := sentinel.waitFor(agreed, "INFO", "sentinel"); err != nil {
			return err
		}
	}
	return nil
}

func (s *RedisSentinel) startSentinel() (*Redis, error) {
	program, err := redisProgram()
	if err != nil {
		return nil, err
	}
	return onFreePort(func(port int) (*Redis, error) {
		directory, err := newDirectory(nil)
		if err != nil {
			return nil, err
		}
		p, err := s.runSentinel(program, directory, port)
		if err != nil {
			_ = os.RemoveAll(directory)
			return nil, err
		}
		return &Redis{process: p, Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Password: s.Password}, nil
	})
}

func (s *RedisSentinel) runSentinel(program, directory string, port int) (*process, error) {
	host, primaryPort, err := net.SplitHostPort(s.Primary.Address)
	if err != nil {
		return nil, err
	}
	settings := filepath.Join(directory, "settings") // where the sentinel also writes what it learns
	if err := writeFor(nil, settings, strings.Join([]string{
		"bind 127.0.0.1",
		fmt.Sprintf("port %d", port),
		"dir " + directory,
		"requirepass " + s.Password, // which it also gives to the other sentinels
		fmt.Sprintf("sentinel monitor %s %s %s %d", s.Name, host, primaryPort, quorum),
		fmt.Sprintf("sentinel auth-pass %s %s", s.Name, s.Password),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", s.Name, patient.Milliseconds()),
		fmt.Sprintf("sentinel failover-timeout %s %d", s.Name, (5 * time.Second).Milliseconds()),
		"",
	}, "\n")); err != nil {
		return nil, err
	}
	return start(exec.Command(program, settings, "--sentinel"), directory, politely, regexp.MustCompile(`\+monitor `))
}

// Addresses are those of the sentinels.
func (s *RedisSentinel) Addresses() []string {
	var all []string
	for _, sentinel := range s.Sentinels {
		all = append(all, sentinel.Address)
	}
	return all
}

// Replicate waits until all replicas have what the primary had written before.
func (s *RedisSentinel) Replicate() error {
	// The server counts from the connection's last command, whatever that was: here AUTH.
	have, err := s.Primary.Do("WAIT", strconv.Itoa(replicas), strconv.FormatInt((startTime/2).Milliseconds(), 10))
	if err == nil && have != strconv.Itoa(replicas) {
		err = fmt.Errorf("%s of %d replicas have what %s wrote", have, replicas, s.Primary.Address)
	}
	return err
}

// Failover has the sentinels look for a new primary, after Primary.Kill. It does not wait until they found one.
func (s *RedisSentinel) Failover() error {
	for _, sentinel := range s.Sentinels {
		if _, err := sentinel.Do("SENTINEL", "SET", s.Name, "down-after-milliseconds", strconv.FormatInt(impatient.Milliseconds(), 10)); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all of them, those that follow first: a server waits for its replicas when it ends.
func (s *RedisSentinel) Stop() {
	for _, server := range slices.Concat(s.Sentinels, s.Replicas, []*Redis{s.Primary}) {
		server.Stop()
	}
}
