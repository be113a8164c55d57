package authcode

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxSealedFlow = 600 // bytes: five flows fit into a browser's cookies beside what else is there
	sealTime      = 10 * time.Second
)

// SealFlow makes a flow into at most 600 URL- and cookie-safe characters that only this App's Sealer opens: the one way
// to keep a flow between two requests. Errors: a flow of another app, ErrClosed, one with so many scopes that it does not fit,
// or the Sealer's.
func (a *App) SealFlow(flow *Flow) (string, error) {
	if err := a.checkFlow(flow); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(a.lifetime, sealTime)
	defer cancel()
	sealed, err := a.sealer.EncryptWithContext(ctx, packFlow(flow, a.redirectURI), a.flowData())
	if err != nil {
		return "", fmt.Errorf("authcode: sealing the flow failed: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(sealed)
	if len(text) > maxSealedFlow {
		return "", fmt.Errorf("authcode: the sealed flow has %d characters, more than %d: begin it with fewer or shorter scopes, and ask for others when they are needed", len(text), maxSealedFlow)
	}
	return text, nil
}

// OpenFlow opens what SealFlow made. Its URL is empty: it has been used. An error means that it was not made by this App, or
// by one with another client, authority or key; treat it like a missing one and start again. Whether it has expired is
// Redeem's to say.
func (a *App) OpenFlow(sealed string) (*Flow, error) {
	if a.isClosed() {
		return nil, ErrClosed
	}
	if len(sealed) > 4*maxSealedFlow || strings.ContainsAny(sealed, "\r\n") { // base64 skips line breaks
		return nil, errors.New("authcode: the sealed flow is too long to be one, or has line breaks")
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, errors.New("authcode: the sealed flow is not base64url")
	}
	ctx, cancel := context.WithTimeout(a.lifetime, sealTime)
	defer cancel()
	plain, err := a.sealer.DecryptWithContext(ctx, data, a.flowData())
	if err != nil {
		return nil, fmt.Errorf("authcode: opening the flow failed: %w", err)
	}
	flow, err := unpackFlow(plain, a.redirectURI)
	if err != nil {
		return nil, fmt.Errorf("authcode: opening the flow failed: %w", err)
	}
	flow.ClientID = a.clientID
	return flow, nil
}

// flowData ties a sealed flow to its kind, so that nothing else that is sealed can be taken for one, and to the app, the
// authority and the redirect URI.
func (a *App) flowData() []byte {
	return []byte(strings.Join([]string{"authcode flow v1", a.site.tokenURL(a.tenants.home), a.clientID, a.redirectURI}, "\x00"))
}

// packFlow writes what Redeem needs, small: the random values as bytes, and nothing that the App knows itself.
func packFlow(flow *Flow, redirectURI string) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint64(b, uint64(flow.Expires.Unix()))
	for _, random := range []string{flow.State, flow.Nonce, flow.CodeVerifier} {
		b = appendField(b, packRandom(random))
	}
	if flow.RedirectURI == redirectURI {
		b = appendField(b, nil)
	} else {
		b = appendField(b, []byte(flow.RedirectURI))
	}
	b = appendField(b, packGUIDs(flow.TenantID))
	b = appendField(b, packGUIDs(flow.AccountID))
	return appendField(b, []byte(strings.Join(flow.Scopes, " ")))
}

func unpackFlow(b []byte, redirectURI string) (*Flow, error) {
	const numbers = 8
	if len(b) < numbers {
		return nil, errors.New("it is cut off")
	}
	flow := &Flow{Expires: time.Unix(int64(binary.BigEndian.Uint64(b)), 0)}
	b = b[numbers:]
	var scopes string
	var state, nonce, verifier string
	for _, field := range []*string{&state, &nonce, &verifier, &flow.RedirectURI, &flow.TenantID, &flow.AccountID, &scopes} {
		value, rest, ok := cutField(b)
		if !ok {
			return nil, errors.New("it is cut off")
		}
		*field, b = string(value), rest
	}
	if len(b) > 0 {
		return nil, errors.New("it is too long")
	}
	flow.State, flow.Nonce, flow.CodeVerifier = unpackRandom(state), unpackRandom(nonce), unpackRandom(verifier)
	flow.TenantID, flow.AccountID = unpackGUIDs(flow.TenantID), unpackGUIDs(flow.AccountID)
	flow.RedirectURI = cmp.Or(flow.RedirectURI, redirectURI)
	flow.Scopes = strings.Fields(scopes)
	return flow, nil
}

const (
	asText byte = iota // in front of a field: what follows it
	asRandom
	asGUIDs
)

// packRandom turns 43 base64url characters into their 32 bytes, and leaves anything else as it is.
func packRandom(s string) []byte {
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(s); err == nil && len(raw) == randomBytes {
		return append([]byte{asRandom}, raw...)
	}
	return append([]byte{asText}, s...)
}

func unpackRandom(s string) string {
	if s != "" && s[0] == asRandom {
		return base64.RawURLEncoding.EncodeToString([]byte(s[1:]))
	}
	return strings.TrimPrefix(s, string(asText))
}

const guidBytes = 16

// packGUIDs turns GUIDs joined by dots, as tenant and home account IDs are, into their bytes, and leaves anything else as it
// is.
func packGUIDs(s string) []byte {
	b := []byte{asGUIDs}
	for guid := range strings.SplitSeq(s, ".") {
		raw, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
		if err != nil || !guidPattern.MatchString(guid) {
			return append([]byte{asText}, s...)
		}
		b = append(b, raw...)
	}
	if unpackGUIDs(string(b)) != s { // another spelling
		return append([]byte{asText}, s...)
	}
	return b
}

func unpackGUIDs(s string) string {
	if s == "" || s[0] != asGUIDs {
		return strings.TrimPrefix(s, string(asText))
	}
	var guids []string
	for raw := range slices.Chunk([]byte(s[1:]), guidBytes) {
		if len(raw) == guidBytes {
			guids = append(guids, formatGUID([guidBytes]byte(raw)))
		}
	}
	return strings.Join(guids, ".")
}

func appendField(b, field []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(field)))
	return append(b, field...)
}

func cutField(b []byte) (field, rest []byte, ok bool) {
	n, read := binary.Uvarint(b)
	if read <= 0 || n > uint64(len(b)-read) {
		return nil, nil, false
	}
	b = b[read:]
	return b[:n], b[n:], true
}
