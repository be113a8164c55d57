package testserver_test

import (
	"testing"

	"github.com/authcode-go/authcode/internal/testserver"
)

func TestRedisSurvivesKill(t *testing.T) {
	r, err := testserver.StartRedis("--appendonly", "yes", "--appendfsync", "always")
	testserver.Need(t, err)
	t.Cleanup(func() { r.Stop() })
	if _, err := r.Do("SET", "key", "text"); err != nil {
		t.Fatal(err)
	}
	r.Kill()
	if _, err := r.Do("GET", "key"); err == nil {
		t.Error("it answers after Kill")
	}
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	if answer, err := r.Do("GET", "key"); answer != "text" || err != nil {
		t.Errorf("GET: %q, %v", answer, err)
	}
}
