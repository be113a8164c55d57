package authcode

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func recordApp(tb testing.TB) *App {
	tb.Helper()
	app, err := NewApp("tenant", "client", "https://app.example.com/cb", PublicAuth(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = app.Close() })
	return app
}

// fullSnapshot has something in every field.
func fullSnapshot(app *App, received time.Time) *snapshot {
	g := &grant{app: app}
	answer := func(text string, refreshIn time.Duration) *tokenAnswer {
		return &tokenAnswer{accessToken: text, expiresIn: time.Hour, received: received, refreshIn: refreshIn}
	}
	s := &snapshot{
		first: g.newToken(app.keyFor("tenant", []string{"b", "a"}, true), answer("newest", 0)),
		holding: &holding{
			account:      Account{ID: "id", Name: "Näme", ObjectID: "oid", TenantID: "tid", Username: "user", claims: json.RawMessage(`{"sub":"s"}`)},
			identity:     identity{home: "home", oid: "oid", tid: "tid", sub: "s", iss: "https://issuer.example"},
			mark:         &mark{at: received, cause: &AuthenticationFailedError{Code: "invalid_grant", Suberror: "bad_token", Description: "d", Claims: `{}`, STSCodes: []int{50173, -1}, CorrelationID: "c", TraceID: "t", doing: refreshing}, dead: sha256.Sum256([]byte("dead"))},
			others:       []cachedToken{g.newToken(app.keyFor("other", []string{"c"}, false), answer("older", 20*time.Minute))},
			refreshToken: "refresh",
			renewed:      received,
			tenant:       "tenant",
			unknown:      fields(nil),
		},
	}
	unknown := fields(nil)
	unknown.text(99, "of a later version")
	s.unknown = unknown
	return s
}

// readable is a snapshot without what differs from one making to the next.
func readable(s *snapshot) any {
	type token struct {
		Access           string
		Expires, Refresh int64
		Stale, Expired   int64
		Tenant           string
		CAE              bool
		Asked            []string
		Received         int64
	}
	of := func(t *cachedToken) token {
		return token{t.access.Token, t.access.ExpiresOn.UnixMilli(), t.access.RefreshOn.UnixMilli(), t.life.stale.wall / 1e6, t.life.expired.wall / 1e6,
			t.key.tenant, t.key.cae, t.key.asked, t.received().UnixMilli()}
	}
	h := *s.holding
	h.others, h.mark, h.renewed = nil, nil, time.Time{}
	tokens := []token{of(&s.first)}
	for i := range s.others {
		tokens = append(tokens, of(&s.others[i]))
	}
	m := *s.mark
	at := m.at.UnixMilli()
	m.at = time.Time{}
	return []any{h, tokens, m, at, s.renewed.UnixMilli()}
}

func TestARecordComesBackAsItWas(t *testing.T) {
	app := recordApp(t)
	s := fullSnapshot(app, time.Now())
	read, err := app.decodeRecord(encodeRecord(s), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if want, got := readable(s), readable(read); !reflect.DeepEqual(want, got) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if again := encodeRecord(read); !bytes.Equal(again, encodeRecord(s)) {
		t.Error("written again it differs: a field of a later version was lost")
	}
}

// TestRecordsOfEarlierVersionsAreRead: what was written once is read for good. The file was written by the version it is named for.
func TestRecordsOfEarlierVersionsAreRead(t *testing.T) {
	app := recordApp(t)
	received := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	path := filepath.Join("testdata", "records", "v0.1.0.bin")
	if os.Getenv("AUTHCODE_WRITE_RECORD") != "" {
		if err := os.WriteFile(path, encodeRecord(fullSnapshot(app, received)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := app.decodeRecord(data, received.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := readable(s), readable(fullSnapshot(app, received)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestAClockThatIsAhead is threats row 105: the other machine's clock makes no token live longer than it was given.
func TestAClockThatIsAhead(t *testing.T) {
	app := recordApp(t)
	now := time.Now()
	read, err := app.decodeRecord(encodeRecord(fullSnapshot(app, now.Add(24*time.Hour))), now)
	if err != nil {
		t.Fatal(err)
	}
	if left := read.first.access.ExpiresOn.Sub(now); left > time.Hour {
		t.Errorf("the token lives for %v", left)
	}
	if read.first.life.at(now) != fresh || read.first.life.at(now.Add(time.Hour)) != expired {
		t.Error("the token is not fresh now and expired in an hour")
	}
}

func TestRecordsThatCannotBeRead(t *testing.T) {
	app := recordApp(t)
	good := encodeRecord(fullSnapshot(app, time.Now()))
	for name, data := range map[string][]byte{
		"empty":            {},
		"another schema":   append([]byte{recordSchema + 1}, good[1:]...),
		"cut off":          good[:len(good)-3],
		"no account":       {recordSchema},
		"tag zero":         {recordSchema, 0, 0},
		"endless length":   {recordSchema, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"token of nothing": append(append([]byte(nil), good...), fieldToken, 0),
	} {
		if s, err := app.decodeRecord(data, time.Now()); err == nil {
			t.Errorf("%s was read: %+v", name, s)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	app := recordApp(f)
	f.Add(encodeRecord(fullSnapshot(app, time.Now())))
	f.Add([]byte{recordSchema, 1, 1, 'a'})
	f.Add([]byte{recordSchema, fieldToken, 2, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := app.decodeRecord(data, time.Now())
		if err != nil {
			return
		}
		again, err := app.decodeRecord(encodeRecord(s), time.Now())
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if again.account.ID != s.account.ID || again.refreshToken != s.refreshToken || len(again.others) != len(s.others) || !bytes.Equal(again.unknown, s.unknown) {
			t.Error("what was read is another record when it is written")
		}
	})
}
