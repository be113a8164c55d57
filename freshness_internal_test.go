package authcode

import (
	"testing"
	"time"
)

func TestLife(t *testing.T) {
	received := time.Now()
	for name, test := range map[string]struct {
		expiresIn, refreshIn time.Duration
		jitter               float64
		stale, expired       time.Duration
	}{
		"an hour":                       {time.Hour, 0, 0, 55 * time.Minute, time.Hour - 10*time.Second},
		"an hour, refresh_in":           {time.Hour, 30 * time.Minute, 0, 30 * time.Minute, time.Hour - 10*time.Second},
		"10 minutes":                    {10 * time.Minute, 0, 0, 5 * time.Minute, 590 * time.Second},
		"under 10 minutes":              {8 * time.Minute, 0, 0, 4 * time.Minute, 470 * time.Second},
		"40 seconds":                    {40 * time.Second, 0, 0, 20 * time.Second, 30 * time.Second},
		"under 40 seconds":              {20 * time.Second, 0, 0, 10 * time.Second, 15 * time.Second},
		"a second":                      {time.Second, 0, 0, 500 * time.Millisecond, 750 * time.Millisecond},
		"most jitter":                   {time.Hour, 0, 1, 52 * time.Minute, time.Hour - 10*time.Second},
		"jitter beyond refresh_in":      {time.Hour, time.Second, 1, 900 * time.Millisecond, time.Hour - 10*time.Second},
		"refresh_in just before expiry": {time.Hour, time.Hour - time.Second, 0, time.Hour - 10*time.Second, time.Hour - 10*time.Second},
		"CAE":                           {28 * time.Hour, 0, 0, 28*time.Hour - 5*time.Minute, 28*time.Hour - 10*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got, refreshOn := lifeOf(received, test.expiresIn, test.refreshIn, test.jitter)
			if want := received.Add(test.stale); !refreshOn.Equal(want) {
				t.Errorf("stale after %v, want %v", refreshOn.Sub(received), test.stale)
			}
			for _, at := range []struct {
				after time.Duration
				want  freshness
			}{{test.stale - 1, fresh}, {test.expired - 1, stale}, {test.expired, expired}, {365 * 24 * time.Hour, expired}} {
				if test.stale == 0 && at.want == fresh || test.stale == test.expired && at.want == stale {
					continue
				}
				if f := got.at(received.Add(at.after)); f != at.want {
					t.Errorf("after %v: %v, want %v", at.after, f, at.want)
				}
			}
		})
	}
}

// Setting a clock makes the wall and the monotonic reading of a time.Time disagree; a moment believes the one that says
// it has come.
func TestAMomentBelievesTheFasterClock(t *testing.T) {
	now := time.Now()
	m := momentAt(now.Add(time.Hour))
	if m.passed(now) {
		t.Error("an hour early")
	}
	wallAhead := moment{wall: m.wall - int64(2*time.Hour), mono: m.mono}
	monoAhead := moment{wall: m.wall, mono: m.mono - 2*time.Hour}
	for name, m := range map[string]moment{"wall": wallAhead, "monotonic": monoAhead} {
		if !m.passed(now) {
			t.Errorf("the %s clock alone is not believed", name)
		}
	}
}

func TestUselessGrantsLeave(t *testing.T) {
	app, err := NewApp("tenant", "client", "https://app.example.com/cb", PublicAuth(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	now := time.Now()
	kinds := map[string]*holding{
		"used":        {renewed: now},
		"idle":        {renewed: now.Add(-91 * 24 * time.Hour)},
		"marked":      {renewed: now, mark: &mark{at: now.Add(-25 * time.Hour)}},
		"marked just": {renewed: now, mark: &mark{at: now}},
	}
	for name, held := range kinds {
		_, err := app.registry.adopt(app, name, func(c *AuthorizationCodeCredential) error {
			c.grant.current.Store(&snapshot{holding: held})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // sweeps
		_, _ = app.registry.adopt(app, "used", func(*AuthorizationCodeCredential) error { return nil })
	}
	for name, stays := range map[string]bool{"used": true, "idle": false, "marked": false, "marked just": true} {
		if _, there := app.registry.known[name]; there != stays {
			t.Errorf("%s is there: %v, want %v", name, there, stays)
		}
	}
}
