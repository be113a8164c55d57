package entratest_test

import (
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func TestDiscovery(t *testing.T) {
	f := start(t, nil)
	tests := []struct{ alias, segment, issuer string }{
		{contoso, contoso, contoso},
		{"contoso.example", contoso, contoso},
		{"Common", "common", "{tenantid}"},
		{"organizations", "organizations", "{tenantid}"},
	}
	for _, test := range tests {
		response, body := f.get(f.URL() + "/" + test.alias + "/v2.0/.well-known/openid-configuration")
		var document map[string]any
		if err := json.Unmarshal([]byte(body), &document); err != nil || response.StatusCode != 200 {
			t.Fatalf("%s: %d %v", test.alias, response.StatusCode, err)
		}
		base := f.URL() + "/" + test.segment
		for name, want := range map[string]string{
			"issuer":                 f.URL() + "/" + test.issuer + "/v2.0",
			"authorization_endpoint": base + "/oauth2/v2.0/authorize",
			"token_endpoint":         base + "/oauth2/v2.0/token",
			"end_session_endpoint":   base + "/oauth2/v2.0/logout",
			"jwks_uri":               base + "/discovery/v2.0/keys",
		} {
			if document[name] != want {
				t.Errorf("%s: %s is %v", test.alias, name, document[name])
			}
		}
		if document["code_challenge_methods_supported"] != nil {
			t.Error("Entra does not publish its challenge methods")
		}
	}
	response, body := f.get(f.URL() + "/nowhere.example/v2.0/.well-known/openid-configuration")
	if response.StatusCode != 400 || !strings.Contains(body, "AADSTS90002") {
		t.Errorf("no tenant: %d %s", response.StatusCode, body)
	}
	if response, _ := f.post(f.URL()+"/common/discovery/v2.0/keys", nil); response.StatusCode != 405 {
		t.Errorf("POST: %d", response.StatusCode)
	}
	if response, _ := f.get(f.URL() + "/common/oauth2/v2.0/elsewhere"); response.StatusCode != 404 {
		t.Errorf("elsewhere: %d", response.StatusCode)
	}
	if response, body := f.send(must(http.NewRequest(http.MethodHead, f.URL()+"/common/discovery/v2.0/keys", nil))); response.StatusCode != 200 || len(body) != 0 {
		t.Errorf("HEAD: %d %s", response.StatusCode, body)
	}
}

// keySet fetches the keys, and the issuer member of the first.
func (f *fixture) keySet(alias string) (jose.JSONWebKeySet, string) {
	f.t.Helper()
	_, body := f.get(f.URL() + "/" + alias + "/discovery/v2.0/keys")
	var set jose.JSONWebKeySet
	var raw struct{ Keys []struct{ Issuer string } }
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		f.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &raw); err != nil {
		f.t.Fatal(err)
	}
	return set, raw.Keys[0].Issuer
}

func TestKeys(t *testing.T) {
	f := start(t, nil)
	idToken := func() *jwt.JSONWebToken {
		return must(jwt.ParseSigned(f.mustToken(codeForm(f.signIn(alice))).IDToken, []jose.SignatureAlgorithm{jose.RS256}))
	}
	set, issuer := f.keySet(contoso)
	if issuer != f.URL()+"/"+contoso+"/v2.0" {
		t.Errorf("issuer %q", issuer)
	}
	if _, issuer := f.keySet("common"); issuer != f.URL()+"/{tenantid}/v2.0" {
		t.Errorf("issuer %q", issuer)
	}
	token := idToken()
	key := set.Key(token.Headers[0].KeyID)
	if len(key) != 1 || token.Headers[0].Algorithm != "RS256" || len(key[0].Certificates) != 1 {
		t.Fatalf("%d keys of kid %q", len(key), token.Headers[0].KeyID)
	}
	var claims map[string]any
	if err := token.Claims(key[0].Key.(*rsa.PublicKey), &claims); err != nil {
		t.Error(err)
	}
	f.RotateKeys()
	rotated, _ := f.keySet(contoso)
	later := idToken()
	if len(rotated.Keys) != 1 || len(rotated.Key(token.Headers[0].KeyID)) != 0 || len(rotated.Key(later.Headers[0].KeyID)) != 1 {
		t.Error("the old key is still there, or the new one is not")
	}
	if other, _ := start(t, nil).keySet(contoso); other.Keys[0].KeyID == set.Keys[0].KeyID {
		t.Error("two emulators, one key ID")
	}
}

// A key that is published ahead signs nothing before the rotation, and the old one stays after it.
func TestKeysOverlap(t *testing.T) {
	f := start(t, nil)
	shown := func() (ids []string) {
		set, _ := f.keySet(contoso)
		for _, key := range set.Keys {
			ids = append(ids, key.KeyID)
		}
		return ids
	}
	signs := func() string {
		token := f.mustToken(codeForm(f.signIn(alice))).IDToken
		return must(jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})).Headers[0].KeyID
	}
	first := signs()
	f.PublishNextKey()
	f.PublishNextKey()
	ahead := shown()
	if len(ahead) != 2 || ahead[0] != first || signs() != first {
		t.Fatalf("%v, and %s signs", ahead, signs())
	}
	f.RotateKeys()
	if after := shown(); len(after) != 2 || after[0] != ahead[1] || after[1] != first || signs() != ahead[1] {
		t.Errorf("%v, and %s signs, after %v", after, signs(), ahead)
	}
	old := f.mustToken(codeForm(f.signIn(alice))).AccessToken
	f.RotateKeys()
	if last := shown(); len(last) != 1 || last[0] == ahead[1] || signs() != last[0] {
		t.Errorf("%v after an emergency, and %s signs", last, signs())
	}
	if _, err := f.VerifyAccessToken(old); err != nil {
		t.Error(err)
	}
}

// The keys of version 1 are the same, without an issuer.
func TestKeysVersion1(t *testing.T) {
	f := start(t, nil)
	set, issuer := f.keySet("common")
	document, _ := f.document(f.URL()+"/common/discovery/keys", 200)
	key := document["keys"].([]any)[0].(map[string]any)
	if _, there := key["issuer"]; there || key["kid"] != set.Keys[0].KeyID || issuer == "" {
		t.Errorf("%v", key)
	}
}
