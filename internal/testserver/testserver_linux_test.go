package testserver_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authcode-go/authcode/internal/testserver"
)

func TestRedisAnswers(t *testing.T) {
	r, err := testserver.StartRedis()
	testserver.Need(t, err)
	t.Cleanup(r.Stop)
	if answer, err := r.Do("SET", "key", "text"); answer != "OK" || err != nil {
		t.Errorf("SET: %q, %v", answer, err)
	}
	if answer, err := r.Do("GET", "key"); answer != "text" || err != nil {
		t.Errorf("GET: %q, %v", answer, err)
	}
	if _, err := r.Do("GET"); err == nil || !strings.Contains(err.Error(), "wrong number of arguments") {
		t.Errorf("GET of nothing: %v", err)
	}
}

// child is the name of the variable that makes this test binary start a server and wait.
const child = "AUTHCODE_TESTSERVER_CHILD"

func TestServerEndsWithTheTestBinary(t *testing.T) {
	if os.Getenv(child) != "" {
		startAndWait(t)
	}
	for _, server := range []string{"redis", "postgres"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			pidFile := filepath.Join(t.TempDir(), "pid")
			command := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithTheTestBinary$")
			command.Env = append(os.Environ(), child+"="+server+" "+pidFile, "TMPDIR="+openDirectory(t))
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- command.Wait() }()
			pid := awaitPID(t, pidFile, exited)
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			poll(t, "the server to be gone", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || isZombie(pid) })
		})
	}
}

// openDirectory is one for servers that run as somebody else, and gone with the test.
func openDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp("", "authcode")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	if err := os.Chmod(directory, 0o755); err != nil {
		t.Fatal(err)
	}
	return directory
}

func startAndWait(t *testing.T) {
	server, pidFile, _ := strings.Cut(os.Getenv(child), " ")
	var pid int
	if server == "redis" {
		r, err := testserver.StartRedis()
		testserver.Need(t, err)
		pid = r.PID()
	} else {
		p, err := testserver.StartPostgres()
		testserver.Need(t, err)
		pid = p.PID()
	}
	if err := os.WriteFile(pidFile+".new", []byte(strconv.Itoa(pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(pidFile+".new", pidFile); err != nil {
		t.Fatal(err)
	}
	select {}
}

// awaitPID skips when the child did.
func awaitPID(t *testing.T, pidFile string, exited chan error) (pid int) {
	t.Helper()
	poll(t, "the server's process ID", func() bool {
		select {
		case err := <-exited:
			if err != nil {
				t.Fatalf("the child failed: %v", err)
			}
			t.Skip("redis-server is missing: apt-get install redis-server")
		default:
		}
		text, err := os.ReadFile(pidFile)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(string(text))
		return err == nil
	})
	return pid
}

// isZombie is of a process that nobody has waited for yet.
func isZombie(pid int) bool {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(status), ") Z ")
}

func poll(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
