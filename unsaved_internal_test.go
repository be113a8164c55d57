package authcode

import (
	"testing"
	"time"
)

// TestALateAttemptAtAWrite: two attempts at one write both succeed; the later one to hear of it must not name an older version than
// what was written since.
func TestALateAttemptAtAWrite(t *testing.T) {
	g := &newCredential(recordApp(t), "id").grant
	g.publish(&snapshot{holding: &holding{version: "third"}}, time.Now())
	if !g.saved(&unsaved{version: "second"}) || g.current.Load().version != "third" {
		t.Errorf("the version is %q", g.current.Load().version)
	}
}
