package authcode_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode"
)

// forgeKey is a key pair of the forger. Keys are derived from their names: making one takes no entropy and gives the
// same in every process, as the workers of a fuzz run need it, and no private key lies in a file.
type forgeKey struct {
	name string
	rsa  *rsa.PrivateKey
	ec   *ecdsa.PrivateKey
}

var forgeKeys = struct {
	sync.Mutex
	made map[string]*forgeKey
}{made: map[string]*forgeKey{}}

// forgeKeyOf makes a key by its name: rsa-1 and rsa-2 of 2048 bits, rsa-1024 and rsa-e3 for what their names say,
// ec-1 and ec-2 on P-256, ec-384 on P-384.
func forgeKeyOf(tb testing.TB, name string) *forgeKey {
	tb.Helper()
	forgeKeys.Lock()
	defer forgeKeys.Unlock()
	if key := forgeKeys.made[name]; key != nil {
		return key
	}
	key := &forgeKey{name: name}
	switch kind, size, _ := strings.Cut(name, "-"); {
	case kind == "rsa" && size == "1024":
		key.rsa = forgeRSA(tb, name, 1024, 65537)
	case kind == "rsa" && size == "e3":
		key.rsa = forgeRSA(tb, name, 2048, 3)
	case kind == "rsa":
		key.rsa = forgeRSA(tb, name, 2048, 65537)
	case kind == "ec" && size == "384":
		key.ec = forgeEC(tb, name, elliptic.P384())
	case kind == "ec":
		key.ec = forgeEC(tb, name, elliptic.P256())
	default:
		tb.Errorf("no key %q", name)
		key.ec = forgeEC(tb, name, elliptic.P256())
	}
	forgeKeys.made[name] = key
	return key
}

func forgeRSA(tb testing.TB, name string, bits, exponent int) *rsa.PrivateKey {
	tb.Helper()
	e := big.NewInt(int64(exponent))
	stream := rand.NewChaCha8(sha256.Sum256([]byte(name)))
	one := big.NewInt(1)
	prime := func() *big.Int {
		raw := make([]byte, bits/16)
		for {
			_, _ = stream.Read(raw)
			raw[0] |= 0xc0
			raw[len(raw)-1] |= 1
			p := new(big.Int).SetBytes(raw)
			if new(big.Int).GCD(nil, nil, e, new(big.Int).Sub(p, one)).Cmp(one) == 0 && p.ProbablyPrime(20) {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		tb.Error(err)
	}
	return key
}

func forgeEC(tb testing.TB, name string, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	raw := make([]byte, (curve.Params().BitSize+7)/8)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(raw)
	raw[0] &= 0x7f // below the order of the curve
	key, err := ecdsa.ParseRawPrivateKey(curve, raw)
	if err != nil {
		tb.Error(err)
	}
	return key
}

// jwk is the public key as a key set shows it, in Entra's manner without alg.
func (k *forgeKey) jwk() map[string]any {
	encode := base64.RawURLEncoding.EncodeToString
	if k.rsa != nil {
		return map[string]any{
			"kty": "RSA", "use": "sig", "kid": k.name,
			"n": encode(k.rsa.N.Bytes()), "e": encode(big.NewInt(int64(k.rsa.E)).Bytes()),
		}
	}
	point, err := k.ec.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err)
	}
	half := len(point) / 2
	return map[string]any{
		"kty": "EC", "use": "sig", "kid": k.name, "crv": k.ec.Curve.Params().Name,
		"x": encode(point[1 : 1+half]), "y": encode(point[1+half:]),
	}
}

func (k *forgeKey) public() any {
	if k.rsa != nil {
		return &k.rsa.PublicKey
	}
	return &k.ec.PublicKey
}

// hmacSecret is a spelling of the public key that a verifier who goes by the header's algorithm takes for a secret
// (CVE-2015-9235).
func (k *forgeKey) hmacSecret(tb testing.TB, spelling string) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.public())
	if err != nil {
		tb.Error(err)
	}
	switch spelling {
	case "pem":
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	case "der":
		return der
	case "jwk":
		encoded, _ := json.Marshal(k.jwk())
		return encoded
	case "n":
		return k.rsa.N.Bytes()
	case "empty":
		return nil
	}
	tb.Errorf("no spelling %q", spelling)
	return nil
}

// A mistake in a vector is an Error here and no Fatal: the server runs in a goroutine of the package under test.

// forgeSign makes a JWS of any header and payload. alg is what the signature is made by, whatever the header says:
// "HS256 pem" is an HMAC with the key's PEM.
func forgeSign(tb testing.TB, header, payload, alg, keyName string) string {
	tb.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	return input + "." + encode(forgeSignature(tb, input, alg, keyName))
}

func forgeSignature(tb testing.TB, input, alg, keyName string) []byte {
	tb.Helper()
	key := forgeKeyOf(tb, keyName)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	switch alg, spelling, _ := strings.Cut(alg, " "); alg {
	case "none":
	case "HS256":
		mac := hmac.New(sha256.New, key.hmacSecret(tb, spelling))
		_, _ = mac.Write([]byte(input))
		signature = mac.Sum(nil)
	case "HS512":
		mac := hmac.New(sha512.New, key.hmacSecret(tb, spelling))
		_, _ = mac.Write([]byte(input))
		signature = mac.Sum(nil)
	case "RS256":
		signature, err = rsa.SignPKCS1v15(nil, key.rsa, crypto.SHA256, digest[:])
	case "RS512":
		digest := sha512.Sum512([]byte(input))
		signature, err = rsa.SignPKCS1v15(nil, key.rsa, crypto.SHA512, digest[:])
	case "PS256":
		signature, err = rsa.SignPSS(forgeNoEntropy{}, key.rsa, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "ES256", "ES384":
		signature, err = forgeECDSA(key.ec, digest[:], spelling)
	default:
		tb.Errorf("no algorithm %q", alg)
	}
	if err != nil {
		tb.Error(err)
	}
	return signature
}

// forgeECDSA signs without entropy (RFC 6979). A JWS has the two numbers side by side (RFC 7518 section 3.4); "der" is
// what X.509 has.
func forgeECDSA(key *ecdsa.PrivateKey, digest []byte, spelling string) ([]byte, error) {
	if spelling == "zero" {
		return make([]byte, 64), nil
	}
	der, err := key.Sign(nil, digest, crypto.SHA256)
	if err != nil || spelling == "der" {
		return der, err
	}
	var numbers struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &numbers); err != nil {
		return nil, err
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	return append(numbers.R.FillBytes(make([]byte, size)), numbers.S.FillBytes(make([]byte, size))...), nil
}

// forgeNoEntropy salts PS256 with zeros: the salt need not be secret or fresh for a test.
type forgeNoEntropy struct{}

func (forgeNoEntropy) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// forgeShape bends a finished token.
func forgeShape(tb testing.TB, shape, token string) string {
	tb.Helper()
	parts := strings.Split(token, ".")
	name, argument, _ := strings.Cut(shape, ":")
	part, _ := strconv.Atoi(argument)
	switch name {
	case "":
		return token
	case "segments": // the first n, or more than there are
		for len(parts) < part {
			parts = append(parts, parts[1])
		}
		return strings.Join(parts[:part], ".")
	case "dots":
		return strings.Repeat(".", part)
	case "behind": // any text
		return token + argument
	case "before":
		return argument + token
	case "pad": // as RFC 7515 section 2 forbids it
		parts[part] += strings.Repeat("=", (4-len(parts[part])%4)%4)
		if !strings.HasSuffix(parts[part], "=") {
			tb.Errorf("part %d needs no padding", part)
		}
	case "standard": // the other alphabet of base64
		other := strings.NewReplacer("-", "+", "_", "/").Replace(parts[part])
		if other == parts[part] {
			tb.Errorf("part %d is the same in both alphabets", part)
		}
		parts[part] = other
	case "blank": // in the middle of a part
		parts[part] = parts[part][:8] + " " + parts[part][8:]
	case "newline":
		parts[part] = parts[part][:8] + "\n" + parts[part][8:]
	case "spare-bits": // those behind the last byte, which decoders tend to drop
		parts[part] = forgeSpareBits(tb, parts[part])
	case "flip": // a bit in the middle
		raw, _ := base64.RawURLEncoding.DecodeString(parts[part])
		raw[len(raw)/2] ^= 1
		parts[part] = base64.RawURLEncoding.EncodeToString(raw)
	case "cut":
		parts[part] = parts[part][:len(parts[part])-4]
	case "json": // RFC 7515 section 7.2.2
		flattened, _ := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
		return string(flattened)
	case "nested": // a token as the payload of a token
		return forgeSign(tb, `{"alg":"RS256","kid":"rsa-1","cty":"JWT"}`, token, "RS256", "rsa-1")
	case "jwe": // RFC 7516 section 3.1
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+argument+`","enc":"A128GCM","zip":"DEF"}`)) + "..." + parts[1] + "." + parts[2]
	default:
		tb.Errorf("no shape %q", shape)
	}
	return strings.Join(parts, ".")
}

// forgeSpareBits sets a bit of the last character that belongs to no byte.
func forgeSpareBits(tb testing.TB, part string) string {
	tb.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(part)%4 == 0 {
		tb.Error("the part has no spare bits")
	}
	last := strings.IndexByte(alphabet, part[len(part)-1])
	return part[:len(part)-1] + string(alphabet[last|1])
}

// forgeJWK is a key of a key set: one of ours, and what is done to it.
type forgeJWK struct {
	Key     string                     `json:"key"`
	Raw     json.RawMessage            `json:"raw"` // in place of a key
	Set     map[string]json.RawMessage `json:"set"`
	Without []string                   `json:"without"`
	More    string                     `json:"more"`  // raw text behind the last member
	Times   int                        `json:"times"` // 0: once; more have IDs of their own
}

func (j forgeJWK) text(tb testing.TB, fill func(string) string, number int) string {
	tb.Helper()
	if j.Raw != nil {
		return fill(string(j.Raw))
	}
	jwk := forgeKeyOf(tb, j.Key).jwk()
	for name, raw := range j.Set {
		jwk[name] = json.RawMessage(fill(string(raw)))
	}
	if number > 0 {
		jwk["kid"] = fmt.Sprintf("%s-%d", j.Key, number)
	}
	for _, name := range j.Without {
		delete(jwk, name)
	}
	encoded, err := json.Marshal(jwk)
	if err != nil {
		tb.Error(err)
	}
	if j.More != "" {
		return strings.TrimSuffix(string(encoded), "}") + "," + fill(j.More) + "}"
	}
	return string(encoded)
}

// forgeKeySet is RFC 7517 section 5.
func forgeKeySet(tb testing.TB, published []forgeJWK, fill func(string) string) []byte {
	tb.Helper()
	var keys []string
	for _, jwk := range published {
		for i := range max(jwk.Times, 1) {
			keys = append(keys, jwk.text(tb, fill, i))
		}
	}
	return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`)
}

// keysVector is an odd key set (testdata/keys/85.json) or odd metadata (89 and 90), met by a user who signs in with a
// good token.
type keysVector struct {
	Name string `json:"name"`
	Why  string `json:"why"`

	At        string                     `json:"at"`        // as in forgeVector
	Published []forgeJWK                 `json:"published"` // the key set
	Document  map[string]json.RawMessage `json:"document"`  // set in the metadata
	Without   []string                   `json:"without"`   // taken from the metadata
	Key       string                     `json:"key"`       // signs; empty: rsa-1
	Alg       string                     `json:"alg"`

	// What an endpoint answers instead.
	Endpoint string            `json:"endpoint"` // empty: the one the file is about
	Status   int               `json:"status"`   // 0: 200
	Header   map[string]string `json:"header"`
	Body     string            `json:"body"`
	Endless  bool              `json:"endless"` // the body never ends

	Error []string `json:"error"`
}

func TestThreatsKeySets(t *testing.T) { keysRun(t, "keys/85-*.json", "keys") }
func TestThreatsMetadata(t *testing.T) {
	keysRun(t, "keys/89-*.json", "discovery")
	keysRun(t, "keys/90-*.json", "discovery")
}

func keysRun(t *testing.T, pattern, endpoint string) {
	for _, file := range forgeFiles[keysVector](t, pattern) {
		t.Run(strconv.Itoa(file.Case), func(t *testing.T) {
			for _, v := range file.Vectors {
				t.Run(v.Name, func(t *testing.T) { v.run(t, endpoint) })
			}
		})
	}
}

// run signs in while the document is odd, and once more after it was mended: what a document spoils costs no code.
func (v *keysVector) run(t *testing.T, endpoint string) {
	token := &forgeVector{At: v.At, Key: v.Key, Alg: v.Alg, Published: v.Published}
	token.Header = map[string]json.RawMessage{}
	if v.Key != "" {
		token.Header["kid"] = json.RawMessage(strconv.Quote(v.Key))
	}
	if v.Alg != "" {
		token.Header["alg"] = json.RawMessage(strconv.Quote(v.Alg))
	}
	f, app := token.newForge(t)
	served := v.spoil(f, endpoint)
	flow, callback := f.begin(app, nil)
	_, err := app.Redeem(t.Context(), flow, callback)
	if len(v.Error) == 0 {
		if err != nil {
			t.Error(err)
		}
		return
	}
	f.wantError(err, v.Error...)
	f.wantNothingKept(app)
	f.wantCount("token", 0)
	if most := int64(2 << 20); *served > most {
		t.Errorf("%d bytes were read of an endless document", *served)
	}
	f.change(func() {
		f.document, f.published = nil, []forgeJWK{{Key: "rsa-1"}}
		clear(f.instead)
	})
	token.Key, token.Alg, token.Header = "", "", nil
	if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
		t.Errorf("the same callback after the outage: %v", err)
	}
	f.wantCount("token", 1)
}

// spoil puts the fault into the server; served counts the bytes it gave away of it.
func (v *keysVector) spoil(f *forge, endpoint string) (served *int64) {
	served = new(int64)
	fill := f.placeholders("")
	if v.Document != nil || v.Without != nil {
		f.document = func(document map[string]any) {
			for name, raw := range v.Document {
				document[name] = json.RawMessage(fill(string(raw)))
			}
			for _, name := range v.Without {
				delete(document, name)
			}
		}
	}
	if v.Status == 0 && v.Body == "" && !v.Endless {
		return served
	}
	if v.Endpoint != "" {
		endpoint = v.Endpoint
	}
	f.instead[endpoint] = func(r *http.Request) *forgeAnswer {
		header := http.Header{"Content-Type": {"application/json"}}
		for name, value := range v.Header {
			header.Set(name, fill(value))
		}
		a := &forgeAnswer{status: v.Status, header: header, body: strings.NewReader(forgeUnescape(fill(v.Body)))}
		if a.status == 0 {
			a.status = http.StatusOK
		}
		if v.Endless {
			a.body = io.MultiReader(a.body, &forgeEndless{read: served})
		}
		return a
	}
	return served
}

// forgeEndless is a body without an end.
type forgeEndless struct{ read *int64 }

func (e *forgeEndless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	*e.read += int64(len(p))
	return len(p), nil
}

// TestThreatsHugeModulus: a number of 64 Kibit takes long to compute with, and a token without a key ID is tried with
// every key: a key set full of such numbers still serves its good one.
func TestThreatsHugeModulus(t *testing.T) {
	modulus := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 8<<10))
	f := newForge(t, forgeTenant)
	f.published = []forgeJWK{{Key: "rsa-1"}, {Key: "rsa-2", Times: 80, Set: forgeMembers("n", strconv.Quote(modulus))}}
	f.mint = func(signIn forgeCode) string { return (&forgeVector{HeaderWithout: []string{"kid"}}).mint(f, signIn) }
	app := f.newApp(nil)
	flow, callback := f.begin(app, nil)
	if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
		t.Error(err)
	}
}

// Outages of the key set (case 86): cached keys are used for a day, and no longer.
func TestThreatsKeysOutage(t *testing.T) {
	for name, outage := range map[string]func(*http.Request) *forgeAnswer{
		"500":     func(*http.Request) *forgeAnswer { return forgeJSON(http.StatusInternalServerError, nil) },
		"429":     func(*http.Request) *forgeAnswer { return forgeJSON(http.StatusTooManyRequests, nil) },
		"refused": func(*http.Request) *forgeAnswer { return &forgeAnswer{err: errors.New("connection refused")} },
		"HTML": func(*http.Request) *forgeAnswer {
			return &forgeAnswer{status: 200, header: http.Header{"Content-Type": {"text/html"}}, body: strings.NewReader("<h1>Sorry</h1>")}
		},
		"endless": func(*http.Request) *forgeAnswer {
			return &forgeAnswer{status: 200, body: &forgeEndless{read: new(int64)}}
		},
		"empty": func(*http.Request) *forgeAnswer { return &forgeAnswer{status: 200} },
		"no keys": func(*http.Request) *forgeAnswer {
			return &forgeAnswer{status: 200, body: strings.NewReader(`{"keys":[]}`)}
		},
		"no answer": func(r *http.Request) *forgeAnswer {
			<-r.Context().Done()
			return &forgeAnswer{err: r.Context().Err()}
		},
	} {
		for _, segment := range []string{forgeTenant, ""} {
			t.Run(name+" "+segment, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newForge(t, segment)
					app := f.newApp(nil)
					signIn := func() (*authcode.Flow, url.Values, error) {
						flow, callback := f.begin(app, nil)
						_, err := app.Redeem(t.Context(), flow, callback)
						return flow, callback, err
					}
					if _, _, err := signIn(); err != nil {
						t.Fatal(err)
					}
					f.change(func() { f.instead["keys"] = outage })
					for range 23 { // up to 23 hours and a bit
						callbackPass(time.Hour)
						if _, _, err := signIn(); err != nil {
							t.Fatalf("the cached keys were not used: %v", err)
						}
					}
					callbackPass(time.Hour)
					tokens := f.count("token")
					flow, callback, err := signIn()
					f.wantError(err, "keys")
					f.wantCount("token", tokens)
					f.change(func() { delete(f.instead, "keys") })
					if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
						t.Errorf("the same callback after the outage: %v", err)
					}
				})
			})
		}
	}
}

// TestThreatsKeysOutageIsNotHammered: while the keys cannot be read again, users who sign in do not each ask for them.
func TestThreatsKeysOutageIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, forgeTenant)
		app := f.newApp(nil)
		f.signInOK(t, app)
		f.change(func() {
			f.instead["keys"] = func(*http.Request) *forgeAnswer { return forgeJSON(http.StatusInternalServerError, nil) }
		})
		callbackPass(2 * time.Hour)
		before := f.count("keys")
		for range 100 { // in 100 seconds
			f.signInOK(t, app)
			callbackPass(time.Second)
		}
		if got := f.count("keys") - before; got > 4 {
			t.Errorf("%d requests for the keys in 100 seconds, want at most 4", got)
		}
	})
}

// signInOK signs in a user with a good token.
func (f *forge) signInOK(t *testing.T, app *authcode.App) *authcode.AuthorizationCodeCredential {
	t.Helper()
	flow, callback := f.begin(app, nil)
	credential, err := app.Redeem(t.Context(), flow, callback)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// TestThreatsKeysRotated is case 87: the server changes its key between the sign-in and the signature.
func TestThreatsKeysRotated(t *testing.T) {
	for _, segment := range []string{forgeTenant, ""} {
		t.Run(segment, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newForge(t, segment)
				app := f.newApp(nil)
				f.signInOK(t, app)
				f.wantCount("keys", 1)
				f.mint = func(signIn forgeCode) string { // the old key leaves at once, as in an emergency
					f.published = []forgeJWK{{Key: "rsa-2"}}
					return (&forgeVector{Key: "rsa-2", Header: forgeMembers("kid", `"rsa-2"`)}).mint(f, signIn)
				}
				f.signInOK(t, app)
				f.wantCount("keys", 2)
				f.signInOK(t, app)
				f.wantCount("keys", 2)

				// What the retired key signs is refused from then on; within the cool-down that takes no request.
				f.change(func() { f.mint = f.goodIDToken })
				flow, callback := f.begin(app, nil)
				_, err := app.Redeem(t.Context(), flow, callback)
				f.wantError(err, "key")
				f.wantCount("keys", 2)
				callbackPass(time.Minute)
				flow, callback = f.begin(app, nil)
				_, err = app.Redeem(t.Context(), flow, callback)
				f.wantError(err, "key")
				f.wantCount("keys", 3)
			})
		})
	}
}

// TestThreatsKeysRotatedBesideMany: a hundred users who come back at once share one request for each document, and when
// the key was rotated, one for the new one.
func TestThreatsKeysRotatedBesideMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, forgeTenant)
		app := f.newApp(nil)
		f.latency["discovery"], f.latency["keys"], f.latency["token"] = time.Second, time.Second, time.Second
		signIn := func() {
			var together sync.WaitGroup
			for range 100 {
				flow, callback := f.begin(app, nil)
				together.Go(func() {
					if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
						t.Error(err)
					}
				})
			}
			together.Wait()
		}
		signIn()
		f.wantCount("discovery", 1)
		f.wantCount("keys", 1)
		f.change(func() {
			f.published = []forgeJWK{{Key: "rsa-2"}}
			f.mint = func(signIn forgeCode) string {
				return (&forgeVector{Key: "rsa-2", Header: forgeMembers("kid", `"rsa-2"`)}).mint(f, signIn)
			}
		})
		signIn()
		f.wantCount("discovery", 1)
		f.wantCount("keys", 2)
		f.wantCount("token", 200)
	})
}

// TestThreatsRandomKeyIDs is case 88: tokens that name keys nobody has must not make us ask the server for each.
func TestThreatsRandomKeyIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, forgeTenant)
		app := f.newApp(nil)
		forged := func(i int) string {
			return (&forgeVector{
				Alg:    "none", // an empty signature: it is not looked at without a key
				Header: forgeMembers("kid", fmt.Sprintf(`"%x"`, sha256.Sum256(fmt.Append(nil, i)))),
			}).mint(f, forgeCode{user: f.user, query: url.Values{"nonce": {"n"}}})
		}
		for i := range 10_000 {
			if err := authcode.VerifyIDToken(t.Context(), app, forgeTenant, forged(i), "n"); err == nil || !strings.Contains(err.Error(), "no key") {
				t.Fatalf("token %d: %v", i, err)
			}
		}
		if got := f.count("keys"); got > 2 {
			t.Errorf("%d requests for the keys in no time, want at most 2", got)
		}
		for i := range 600 { // in ten minutes
			_ = authcode.VerifyIDToken(t.Context(), app, forgeTenant, forged(i), "n")
			callbackPass(time.Second)
		}
		if got := f.count("keys"); got > 2+20 {
			t.Errorf("%d requests for the keys in ten minutes, want one in 30 seconds at most", got)
		}
		f.signInOK(t, app)
	})
}

// TestThreatsTenantSpellings: the documents of a tenant are read once, however a flow spells it.
func TestThreatsTenantSpellings(t *testing.T) {
	f := newForge(t, forgeOther)
	app := f.newApp(&authcode.AppOptions{AdditionallyAllowedTenants: []string{"*"}})
	for _, spelling := range []string{forgeTenant, strings.ToUpper(forgeTenant)} {
		flow, callback := f.begin(app, &authcode.BeginOptions{TenantID: spelling})
		if _, err := app.Redeem(t.Context(), flow, callback); err != nil {
			t.Errorf("%s: %v", spelling, err)
		}
	}
	f.wantCount("discovery", 1)
	f.wantCount("keys", 1)
}

// TestThreatsManyDots is case 82's million segments: a parser that splits such a text at every dot runs out of memory
// (CVE-2025-27144, CVE-2025-30204, CVE-2025-22868).
func TestThreatsManyDots(t *testing.T) {
	f := newForge(t, forgeTenant)
	app := f.newApp(nil)
	if err := authcode.VerifyIDToken(t.Context(), app, forgeTenant, f.goodIDToken(forgeCode{user: f.user, query: url.Values{"nonce": {"n"}}}), "n"); err != nil {
		t.Fatal(err) // and the documents are loaded
	}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"rsa-1"}`))
	for name, text := range map[string]string{
		"dots":             strings.Repeat(".", 1_000_000),
		"segments":         strings.Repeat("a.", 1_000_000),
		"behind a header":  header + strings.Repeat(".", 1_000_000),
		"a megabyte":       header + "." + strings.Repeat("A", 1<<20) + ".AAAA",
		"a megabyte of {":  strings.Repeat("{", 1<<20),
		"two dots far off": "." + strings.Repeat("A", 1<<20) + ".",
	} {
		t.Run(name, func(t *testing.T) {
			allocated := forgeAllocated(func() {
				if err := authcode.VerifyIDToken(context.Background(), app, forgeTenant, text, "n"); err == nil || !strings.Contains(err.Error(), "malformed") {
					t.Errorf("error %v", err)
				}
			})
			if allocated > 1<<20 {
				t.Errorf("%d bytes were allocated", allocated)
			}
		})
	}
}

// forgeAllocated is how many bytes a function allocates.
func forgeAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestThreatsVectorsAreRead: each case of the list has its file or its test, so that none is lost when files move.
func TestThreatsVectorsAreRead(t *testing.T) {
	have := map[int]bool{
		3: true, 4: true, 18: true, 86: true, 87: true, 88: true, // have tests of their own
		16: true, 17: true, 19: true, 20: true, // are about HTTP or a store
	}
	count := func(number, vectors int) {
		if have[number] || vectors == 0 {
			t.Errorf("case %d has %d vectors in a second place", number, vectors)
		}
		have[number] = true
	}
	for _, file := range forgeFiles[callbackVector](t, "callback/*.json") {
		count(file.Case, len(file.Vectors))
	}
	for _, file := range forgeFiles[forgeVector](t, "idtoken/*.json") {
		count(file.Case, len(file.Vectors))
	}
	for _, file := range forgeFiles[keysVector](t, "keys/*.json") {
		count(file.Case, len(file.Vectors))
	}
	for number := 1; number <= 90; number++ {
		if wanted := number <= 21 || number >= 70; wanted && !have[number] {
			t.Errorf("case %d has no vectors", number)
		}
	}
}
