package e2e

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/authcode-go/authcode/entratest"
)

// naive is what others do instead of authcode, for comparison. It has one record per user in Redis, and one of four protocols:
//
//	A  read, refresh, write; delete on invalid_grant
//	B  the same under a lock with a fixed time to live, and another read once it is held; the write is blind
//	C  a lease with a fencing token: a write with an older token than the last is refused
//	D  a lease, a write from the version that was read, another look before invalid_grant is believed; the lease is not renewed
type naive struct {
	spec   *replicaSpec
	http   *http.Client
	client *redis.Client
}

const (
	naiveLease = 100 * time.Millisecond
	naivePoll  = 10 * time.Millisecond // to 100
	naiveLook  = 500 * time.Millisecond
)

// naiveRecord is what is stored.
type naiveRecord struct {
	Access, Refresh string
	Expires         time.Time
}

func newNaive(spec *replicaSpec, client *http.Client) *naive {
	return &naive{spec: spec, http: client, client: newRedisClient(spec.Store)}
}

func (n *naive) close() error {
	n.http.CloseIdleConnections()
	return n.client.Close()
}

// key has the authority in it, of which there are several.
func (n *naive) key(what, user string) string {
	return strings.Join([]string{"naive", n.spec.Protocol, what, n.spec.Authority, user}, " ")
}

// read gives the record and its version, which is the record's text.
func (n *naive) read(ctx context.Context, user string) (r naiveRecord, version string, err error) {
	version, err = n.client.Get(ctx, n.key("record", user)).Result()
	if errors.Is(err, redis.Nil) {
		return r, "", errLost
	}
	if err == nil {
		err = json.Unmarshal([]byte(version), &r)
	}
	return r, version, err
}

func (r naiveRecord) text() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (n *naive) token(ctx context.Context, user string) (string, error) {
	for {
		r, version, err := n.read(ctx, user)
		switch {
		case err != nil:
			return "", err
		case time.Now().Before(r.Expires):
			return r.Access, nil
		case n.spec.Protocol == "A":
			return n.refresh(ctx, user, r, version, 0)
		}
		access, held, err := n.underLease(ctx, user)
		if held {
			return access, err
		}
		select {
		case <-time.After(naivePoll + rand.N(9*naivePoll)):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// takeLease gives the fencing token with the lease.
var takeLease = redis.NewScript(`if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[1]) then return redis.call('INCR', KEYS[2]) end return 0`)

// underLease refreshes if nobody else does, and there is still a need.
func (n *naive) underLease(ctx context.Context, user string) (access string, held bool, err error) {
	keys := []string{n.key("lease", user), n.key("fence", user)}
	owner := crand.Text()
	fence, err := takeLease.Run(ctx, n.client, keys, naiveLease.Milliseconds(), owner).Int64()
	if err != nil || fence == 0 {
		return "", err != nil, err
	}
	defer n.release(ctx, keys[0], owner)
	r, version, err := n.read(ctx, user)
	if err != nil {
		return "", true, err
	}
	if time.Now().Before(r.Expires) {
		return r.Access, true, nil
	}
	access, err = n.refresh(ctx, user, r, version, fence)
	return access, true, err
}

var releaseOwn = redis.NewScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1`)

// release is without a look at whose lease it is by now, in B.
func (n *naive) release(ctx context.Context, key, owner string) {
	if n.spec.Protocol == "B" {
		n.client.Del(ctx, key)
		return
	}
	releaseOwn.Run(ctx, n.client, []string{key}, owner)
}

// refresh asks the server and writes what it says.
func (n *naive) refresh(ctx context.Context, user string, old naiveRecord, version string, fence int64) (string, error) {
	fresh, err := n.post(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh}})
	switch {
	case err == nil:
		return fresh.Access, n.write(ctx, user, version, fresh.text(), fence)
	case !errors.Is(err, errLost):
		return "", err
	case n.spec.Protocol == "D":
		return n.lookAgain(ctx, user, version)
	}
	return "", errors.Join(err, n.write(ctx, user, version, "", fence))
}

// lookAgain waits for a write that may be on its way, before it believes that the grant is gone.
func (n *naive) lookAgain(ctx context.Context, user, version string) (string, error) {
	for end := time.Now().Add(naiveLook); time.Now().Before(end); <-time.After(naivePoll) {
		r, now, err := n.read(ctx, user)
		if err != nil || now != version {
			return r.Access, err
		}
	}
	return "", errors.Join(errLost, n.write(ctx, user, version, "", 0))
}

var (
	writeFenced = redis.NewScript(`local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if tonumber(ARGV[2]) < last then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
if ARGV[1] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1]) end
return 1`)
	writeVersion = redis.NewScript(`if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
if ARGV[1] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1]) end
return 1`)
)

// write stores text, or deletes the record for want of one. A write that is refused is none of the caller's business.
func (n *naive) write(ctx context.Context, user, version, text string, fence int64) error {
	key := n.key("record", user)
	switch {
	case n.spec.Protocol == "C":
		return writeFenced.Run(ctx, n.client, []string{key, n.key("written", user)}, text, fence).Err()
	case n.spec.Protocol == "D":
		return writeVersion.Run(ctx, n.client, []string{key}, text, version).Err()
	case text == "":
		return n.client.Del(ctx, key).Err()
	}
	return n.client.Set(ctx, key, text, 0).Err()
}

// post sends a token request. errLost: invalid_grant.
func (n *naive) post(ctx context.Context, form url.Values) (naiveRecord, error) {
	form.Set("client_id", n.spec.ClientID)
	form.Set("client_secret", n.spec.Secret)
	form.Set("client_info", "1")
	form.Set("scope", fleetScope+" offline_access")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.spec.tokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		return naiveRecord{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", n.spec.Name)
	began := time.Now()
	response, err := n.http.Do(request)
	if err != nil {
		return naiveRecord{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var a struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int    `json:"expires_in"`
		Error        string
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return naiveRecord{}, err
	}
	switch a.Error {
	case "":
		return naiveRecord{Access: a.AccessToken, Refresh: a.RefreshToken, Expires: began.Add(usable(time.Duration(a.ExpiresIn) * time.Second))}, nil
	case "invalid_grant":
		return naiveRecord{}, errLost
	}
	return naiveRecord{}, fmt.Errorf("the server says %s", a.Error)
}

// usable is how long authcode uses a token of a short life, and so do these.
func usable(lifetime time.Duration) time.Duration { return lifetime - lifetime/4 }

// signIn gets a user's first record.
func (n *naive) signIn(ctx context.Context, p *provider, user entratest.User) error {
	query := url.Values{
		"client_id": {n.spec.ClientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "state": {"s"},
		"scope": {fleetScope + " openid profile offline_access"},
	}
	callback, err := p.Authorize(ctx, n.spec.Authority+"/"+n.spec.TenantID+"/oauth2/v2.0/authorize?"+query.Encode(), user.Username)
	if err != nil {
		return err
	}
	r, err := n.post(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {callback.Query().Get("code")}, "redirect_uri": {redirectURI}})
	if err != nil {
		return err
	}
	return n.client.Set(ctx, n.key("record", user.HomeAccountID()), r.text(), 0).Err()
}
