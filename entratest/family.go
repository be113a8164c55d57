package entratest

import (
	"sync"
	"time"
)

// family is the chain of refresh tokens one sign-in led to. Each use of the newest token starts a generation.
type family struct {
	generation int
	revoked    bool
	used       time.Time
}

// familyTable is kept only where used refresh tokens are refused: with [RotationKeep] it stays empty.
// A family leaves when its newest token has expired of inactivity.
type familyTable struct {
	mu       sync.Mutex
	families map[string]*family
	sweepAt  int
}

// check reports whether a token of this generation is good, and with advance makes its successor the newest. A token
// used a second time is refused, and under [RotationRevokeFamily] takes its family along.
func (t *familyTable) check(rotation Rotation, id string, generation int, advance bool, now time.Time) bool {
	if rotation == RotationKeep {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.families[id]
	if f == nil {
		t.sweep(now)
		// Entered at the first refresh; the token from the code is generation 0.
		f = &family{generation: generation}
		t.families[id] = f
	}
	f.used = now
	switch {
	case f.revoked:
		return false
	case generation != f.generation:
		f.revoked = rotation == RotationRevokeFamily
		return false
	}
	if advance {
		f.generation++
	}
	return true
}

func (t *familyTable) sweep(now time.Time) {
	if len(t.families) < max(t.sweepAt, 1024) {
		return
	}
	for id, f := range t.families {
		if now.Sub(f.used) > refreshTokenIdle {
			delete(t.families, id)
		}
	}
	t.sweepAt = 2 * len(t.families)
}
