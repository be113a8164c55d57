package authcode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// A record is a grant as bytes, before it is sealed: the schema's number, then fields, each a tag, a length and a value. A field
// that is not there is the zero value. What a later schema adds is kept as it is and written back, so that replicas of two
// versions can share a store while one replaces the other; a schema that cannot be read so gets another number.
const recordSchema = 1

// The fields of a record. Numbers are never used again for something else.
const (
	fieldAccountID = iota + 1
	fieldAccountName
	fieldAccountObjectID
	fieldAccountTenantID
	fieldAccountUsername
	fieldAccountClaims
	fieldHome
	fieldObjectID
	fieldTenantID
	fieldSubject
	fieldIssuer
	fieldRefreshToken
	fieldRenewed
	fieldTenant
	fieldMark
	fieldToken // once for each cached token, newest first
)

// The fields of a token and of a mark.
const (
	tokenAccess = iota + 1
	tokenReceived
	tokenLifetime
	tokenRefreshOn
	tokenTenant
	tokenCAE
	tokenScopes
)

const (
	markAt = iota + 1
	markDead
	markCode
	markSuberror
	markDescription
	markClaims
	markSTSCode // once for each
	markCorrelationID
	markTraceID
)

// fields writes fields.
type fields []byte

func (f *fields) bytes(tag int, value []byte) {
	if len(value) > 0 {
		*f = binary.AppendUvarint(*f, uint64(tag))
		*f = appendField(*f, value)
	}
}

func (f *fields) text(tag int, value string) { f.bytes(tag, []byte(value)) }

func (f *fields) number(tag int, value int64) { f.bytes(tag, binary.AppendVarint(nil, value)) }

func (f *fields) time(tag int, t time.Time) { f.number(tag, t.UnixMilli()) }

// eachField reads what fields wrote.
func eachField(b []byte, visit func(tag int, value []byte) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag == 0 || tag > 1<<20 {
			return errors.New("a field's tag cannot be read")
		}
		value, rest, ok := cutField(b[n:])
		if !ok {
			return errors.New("it is cut off")
		}
		if err := visit(int(tag), value); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func readNumber(value []byte) (int64, error) {
	number, n := binary.Varint(value)
	if n != len(value) || n <= 0 {
		return 0, errors.New("a number cannot be read")
	}
	return number, nil
}

func readTime(value []byte) (time.Time, error) {
	millis, err := readNumber(value)
	return time.UnixMilli(millis), err
}

// encodeRecord writes a snapshot.
func encodeRecord(s *snapshot) []byte {
	f := fields{recordSchema}
	for _, field := range s.texts() {
		f.text(field.tag, *field.value)
	}
	f.bytes(fieldAccountClaims, s.account.claims)
	f.time(fieldRenewed, s.renewed)
	if s.mark != nil {
		f.bytes(fieldMark, encodeMark(s.mark))
	}
	if s.first.key != nil {
		f.bytes(fieldToken, encodeToken(&s.first))
	}
	for i := range s.others {
		f.bytes(fieldToken, encodeToken(&s.others[i]))
	}
	return append(f, s.unknown...)
}

// textField is a field that is a string of the holding.
type textField struct {
	tag   int
	value *string
}

func (h *holding) texts() []textField {
	return []textField{
		{fieldAccountID, &h.account.ID},
		{fieldAccountName, &h.account.Name},
		{fieldAccountObjectID, &h.account.ObjectID},
		{fieldAccountTenantID, &h.account.TenantID},
		{fieldAccountUsername, &h.account.Username},
		{fieldHome, &h.identity.home},
		{fieldObjectID, &h.identity.oid},
		{fieldTenantID, &h.identity.tid},
		{fieldSubject, &h.identity.sub},
		{fieldIssuer, &h.identity.iss},
		{fieldRefreshToken, &h.refreshToken},
		{fieldTenant, &h.tenant},
	}
}

func encodeToken(t *cachedToken) []byte {
	var f fields
	f.text(tokenAccess, t.access.Token)
	f.time(tokenReceived, t.received())
	f.number(tokenLifetime, t.access.ExpiresOn.Sub(t.received()).Milliseconds())
	f.time(tokenRefreshOn, t.access.RefreshOn)
	f.text(tokenTenant, t.key.tenant)
	if t.key.cae {
		f.number(tokenCAE, 1)
	}
	f.text(tokenScopes, strings.Join(t.key.asked, " "))
	return f
}

func encodeMark(m *mark) []byte {
	var f fields
	f.time(markAt, m.at)
	f.bytes(markDead, m.dead[:])
	if m.cause == nil {
		return f
	}
	f.text(markCode, m.cause.Code)
	f.text(markSuberror, m.cause.Suberror)
	f.text(markDescription, m.cause.Description)
	f.text(markClaims, m.cause.Claims)
	for _, code := range m.cause.STSCodes {
		f.number(markSTSCode, int64(code))
	}
	f.text(markCorrelationID, m.cause.CorrelationID)
	f.text(markTraceID, m.cause.TraceID)
	return f
}

// decodeRecord reads what encodeRecord wrote, also of another replica's version. now bounds what another machine's clock can
// make of a token's age.
func (a *App) decodeRecord(b []byte, now time.Time) (*snapshot, error) {
	switch {
	case len(b) == 0:
		return nil, errors.New("it is empty")
	case b[0] != recordSchema:
		return nil, fmt.Errorf("it has schema %d, which this version of the package does not know", b[0])
	}
	s := &snapshot{holding: &holding{}}
	texts := make(map[int]*string)
	for _, field := range s.texts() {
		texts[field.tag] = field.value
	}
	var tokens []cachedToken
	err := eachField(b[1:], func(tag int, value []byte) (err error) {
		if text := texts[tag]; text != nil {
			*text = string(value)
			return nil
		}
		switch tag {
		case fieldAccountClaims:
			s.account.claims = slices.Clone(value)
		case fieldRenewed:
			s.renewed, err = readTime(value)
		case fieldMark:
			s.mark, err = decodeMark(value)
		case fieldToken:
			var token cachedToken
			token, err = a.decodeToken(value, now)
			tokens = append(tokens, token)
		default:
			f := fields(s.unknown)
			f.bytes(tag, value)
			s.unknown = f
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.account.ID == "" {
		return nil, errors.New("it names no account")
	}
	if len(tokens) > 0 {
		s.first, s.others = tokens[0], tokens[1:min(len(tokens), maxCachedTokens)]
	}
	return s, nil
}

func (a *App) decodeToken(b []byte, now time.Time) (cachedToken, error) {
	var access, tenant, scopes string
	var received, refreshOn time.Time
	var lifetime int64
	var cae bool
	err := eachField(b, func(tag int, value []byte) (err error) {
		switch tag {
		case tokenAccess:
			access = string(value)
		case tokenReceived:
			received, err = readTime(value)
		case tokenLifetime:
			lifetime, err = readNumber(value)
		case tokenRefreshOn:
			refreshOn, err = readTime(value)
		case tokenTenant:
			tenant = string(value)
		case tokenCAE:
			cae = true
		case tokenScopes:
			scopes = string(value)
		}
		return err
	})
	expiresIn := time.Duration(lifetime) * time.Millisecond
	switch {
	case err != nil:
		return cachedToken{}, err
	case access == "" || scopes == "" || lifetime <= 0 || lifetime > longestLifetime.Milliseconds():
		return cachedToken{}, errors.New("a token of it cannot be read")
	}
	if ahead := received.Sub(now); ahead > 0 { // the clock that wrote it is ahead of ours, or ours was set back
		received, refreshOn = now, refreshOn.Add(-ahead)
	}
	return cachedToken{
		access: azcore.AccessToken{Token: access, ExpiresOn: received.Add(expiresIn).UTC(), RefreshOn: refreshOn.UTC()},
		key:    a.keyFor(tenant, strings.Fields(scopes), cae),
		life:   life{stale: momentAt(refreshOn), expired: momentAt(received.Add(usableOf(expiresIn)))},
		retry:  newRetryTime(received),
	}, nil
}

func decodeMark(b []byte) (*mark, error) {
	m := &mark{cause: &AuthenticationFailedError{doing: refreshing}}
	texts := map[int]*string{
		markCode:          &m.cause.Code,
		markSuberror:      &m.cause.Suberror,
		markDescription:   &m.cause.Description,
		markClaims:        &m.cause.Claims,
		markCorrelationID: &m.cause.CorrelationID,
		markTraceID:       &m.cause.TraceID,
	}
	err := eachField(b, func(tag int, value []byte) (err error) {
		if text := texts[tag]; text != nil {
			*text = string(value)
			return nil
		}
		switch tag {
		case markAt:
			m.at, err = readTime(value)
		case markDead:
			copy(m.dead[:], value)
		case markSTSCode:
			var code int64
			code, err = readNumber(value)
			m.cause.STSCodes = append(m.cause.STSCodes, int(code))
		}
		return err
	})
	return m, err
}
