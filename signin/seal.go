package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authcode-go/authcode"
)

// kind tells sealed blobs apart: it is in the associated data, so that one of a kind never opens as one of another.
type kind string

const (
	kindFlow      kind = "flow"      // a sign-in under way, in a cookie
	kindChallenge kind = "challenge" // what a sign-in must bring, in a URL
	kindSession   kind = "session"   // in the store, as the rest
	kindIndex     kind = "sessions"  // of a user, or of a sid
	kindCallback  kind = "callback"  // what became of a state
)

const storeTime = 5 * time.Second // one call of the store

// seal and open tie a text to its kind, its place and this app.
func (h *Handler) sealData(k kind, place string) []byte {
	return []byte(strings.Join([]string{"authcode signin " + string(k) + " v1", place, h.clientID, h.app.RedirectURI()}, "\x00"))
}

func (h *Handler) seal(ctx context.Context, k kind, place string, plain []byte) ([]byte, error) {
	sealed, err := h.app.Sealer().EncryptWithContext(ctx, plain, h.sealData(k, place))
	if err != nil {
		return nil, unavailable("sealing a "+string(k), err)
	}
	return sealed, nil
}

// open gives an error that is authcode.ErrBrokenSeal for what is no blob of this kind and place, else ErrStoreUnavailable: the key
// may be away.
func (h *Handler) open(ctx context.Context, k kind, place string, sealed []byte) ([]byte, error) {
	plain, err := h.app.Sealer().DecryptWithContext(ctx, sealed, h.sealData(k, place))
	switch {
	case errors.Is(err, authcode.ErrBrokenSeal):
		return nil, fmt.Errorf("signin: the %s does not open: %w", k, err)
	case err != nil:
		return nil, unavailable("opening a "+string(k), err)
	}
	return plain, nil
}

// sealText and openText are for cookies and URLs.
func (h *Handler) sealText(ctx context.Context, k kind, place string, plain []byte) (string, error) {
	sealed, err := h.seal(ctx, k, place, plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (h *Handler) openText(ctx context.Context, k kind, place, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // base64 skips line breaks
		return nil, fmt.Errorf("signin: the %s is not base64url: %w", k, authcode.ErrBrokenSeal)
	}
	return h.open(ctx, k, place, sealed)
}

// read gets a record of the store into v. One that does not open or parse is an error that is ErrBrokenSeal, with its version.
func (h *Handler) read(ctx context.Context, k kind, key string, v any) (version string, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	sealed, version, found, err := h.app.Store().Get(ctx, key)
	if err != nil {
		return "", false, unavailable("reading a "+string(k), err)
	}
	if !found {
		return "", false, nil
	}
	plain, err := h.open(ctx, k, key, sealed)
	if err != nil {
		return version, true, err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return version, true, fmt.Errorf("signin: the stored %s cannot be read: %w: %w", k, authcode.ErrBrokenSeal, err)
	}
	return version, true, nil
}

// swap writes v from the version that was read, and gives the new one. An error leaves open whether it was written.
func (h *Handler) swap(ctx context.Context, k kind, key, oldVersion string, v any, ttl time.Duration) (version string, swapped bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	plain, err := json.Marshal(v)
	if err != nil {
		return "", false, fmt.Errorf("signin: writing a %s: %w", k, err)
	}
	sealed, err := h.seal(ctx, k, key, plain)
	if err != nil {
		return "", false, err
	}
	version = newVersion()
	swapped, err = h.app.Store().Swap(ctx, key, oldVersion, version, sealed, max(ttl, time.Second))
	if err != nil {
		return "", false, unavailable("writing a "+string(k), err)
	}
	return version, swapped, nil
}

func (h *Handler) remove(ctx context.Context, k kind, key string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	if err := h.app.Store().Delete(ctx, key); err != nil {
		return unavailable("removing a "+string(k), err)
	}
	return nil
}

// storeKey is a hash: a dump of the store names no user and is no set of live cookies. Apps that share a store do not meet.
func (h *Handler) storeKey(k kind, name string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"authcode signin " + string(k), h.clientID, name}, "\x00")))
	return string(k) + ":" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func unavailable(doing string, cause error) error {
	return fmt.Errorf("%w: %s failed: %w", authcode.ErrStoreUnavailable, doing, cause)
}

func newVersion() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
