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
	rotation Rotation
	families map[string]*family
	sweepAt  int
}

// reset starts anew: every refresh token that comes next is the newest of its family.
func (t *familyTable) reset(rotation Rotation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rotation, t.families, t.sweepAt = rotation, make(map[string]*family), 0
}

func (t *familyTable) mode() Rotation {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rotation
}

// SetRotation changes what becomes of used refresh tokens from now on, [Options].Rotation. Families that were revoked are
// good again, and of each sign-in the token that is used next counts as the newest. An unknown rotation is an error, and
// nothing changes.
func (e *Emulator) SetRotation(r Rotation) error {
	if err := r.check(); err != nil {
		return err
	}
	e.families.reset(r)
	return nil
}

// check reports whether a token of this generation is good, and with advance makes its successor the newest. A token
// used a second time is refused, and under [RotationRevokeFamily] takes its family along.
func (t *familyTable) check(id string, generation int, advance bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rotation == RotationKeep {
		return true
	}
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
		f.revoked = t.rotation == RotationRevokeFamily
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
