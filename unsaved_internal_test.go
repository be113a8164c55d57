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

// TestALateAnswerMovesNoBase: an attempt that was made long ago hears of it now. What is to be written goes on top of what was written since.
func TestALateAnswerMovesNoBase(t *testing.T) {
	app, err := NewApp("tenant", "client", "https://app.example.com/cb", PublicAuth(), &AppOptions{Store: NewMemoryStore(), Sealer: newProcessSealer()})
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	g := &newCredential(app, "id").grant
	g.mu.Lock()
	g.publish(&snapshot{holding: &holding{account: Account{ID: "id"}, version: "second"}}, time.Now())
	g.owe(unsaved{base: "second"}) // third, on its way
	g.mu.Unlock()
	g.saved(&unsaved{version: "first"}) // another attempt at the first, written long ago, hears of it now
	if _, u := g.owed(); u.base != "second" {
		t.Errorf("the unwritten refresh is to replace version %q, but %q is stored", u.base, "second")
	}
}

// TestANewerRefreshGoesOnTopOfWhatWasWritten: the write of the one before it succeeded meanwhile.
func TestANewerRefreshGoesOnTopOfWhatWasWritten(t *testing.T) {
	g := &newCredential(recordApp(t), "id").grant
	g.publish(&snapshot{holding: &holding{version: "first"}}, time.Now())
	g.unsaved = &unsaved{base: "first", mine: []string{"second", "third"}, version: "third"}
	if !g.saved(&unsaved{base: "first", mine: []string{"second"}, version: "second"}) || g.unsaved.base != "second" || g.current.Load().version != "second" {
		t.Errorf("it is to replace %q, and %q is stored", g.unsaved.base, "second")
	}
}
