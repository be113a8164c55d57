package entratest

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// RevokedError says that an access token was revoked before its time, as a resource server learns it by continuous
// access evaluation. See "Claims challenges, claims requests and client capabilities".
type RevokedError struct {
	// Claims is the JSON of the claims challenge to answer with: base64-encoded in the claims parameter of a 401's
	// WWW-Authenticate header, with error="insufficient_claims".
	Claims string
}

// Error implements error.
func (e *RevokedError) Error() string {
	return "entratest: the access token was revoked; a new one is asked for with the claims " + e.Claims
}

// VerifyAccessToken is for the small resource servers of tests: it verifies an access token of this emulator, its
// signature (by a rotated key too), its times by the virtual clock, and that it was not revoked: a revoked CAE token
// gives a [*RevokedError]. The audience and scp of the claims it returns are the caller's to check.
func (e *Emulator) VerifyAccessToken(token string) (map[string]any, error) {
	claims, times, err := e.openToken(token)
	if err != nil {
		return nil, fmt.Errorf("entratest: the access token is %w", err)
	}
	if _, delegated := claims["scp"]; !delegated && claims["idtyp"] != "app" {
		return nil, errors.New("entratest: an ID token is no access token")
	}
	switch now := e.Now(); {
	case times.Expiry == nil || !now.Before(times.Expiry.Time()):
		return nil, errors.New("entratest: the access token has expired")
	case times.NotBefore != nil && now.Before(times.NotBefore.Time()):
		return nil, errors.New("entratest: the access token is not valid yet")
	}
	if revoked := e.revoked(claims); revoked != nil {
		return nil, revoked
	}
	return claims, nil
}

var (
	errMalformedToken = errors.New("not a JWT of an emulator: pass it on as it was received")
	errUnknownKey     = errors.New("not signed with a key of this emulator")
	errBadSignature   = errors.New("not what its signature was made for")
)

// openToken verifies the signature of a token of this emulator, and nothing else.
func (e *Emulator) openToken(token string) (claims map[string]any, registered jwt.Claims, err error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil, registered, errMalformedToken
	}
	key := e.keys.find(parsed.Headers[0].KeyID)
	if key == nil {
		return nil, registered, errUnknownKey
	}
	if parsed.Claims(&key.key.private.PublicKey, &claims, &registered) != nil {
		return nil, registered, errBadSignature
	}
	return claims, registered, nil
}

// revoked reports whether a CAE token is older than its user's last critical event. Tokens of clients that cannot
// handle a challenge live until they expire, as at Entra.
func (e *Emulator) revoked(claims map[string]any) error {
	if _, cae := claims["xms_cc"]; !cae {
		return nil
	}
	if claims["idtyp"] == "app" {
		return e.appRevoked(claims)
	}
	oid, _ := claims["oid"].(string)
	user := e.index.Load().oid(oid)
	if user == nil {
		return errors.New("entratest: the access token's user is not in the directory")
	}
	uti, _ := claims["uti"].(string)
	state := e.state(user)
	if sequenceOf(uti) >= state.accessBefore {
		return nil
	}
	return &RevokedError{Claims: nbfChallenge(state.accessTime)}
}

// nbfChallenge asks for a token issued after a time.
func nbfChallenge(t time.Time) string {
	return `{"access_token":{"nbf":{"essential":true,"value":"` + strconv.FormatInt(t.Unix(), 10) + `"}}}`
}

// sequenceOf undoes newUTI.
func sequenceOf(uti string) uint64 {
	b, err := base64.RawURLEncoding.DecodeString(uti)
	if err != nil || len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
