package authcode

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"
)

const flowLifetime = 15 * time.Minute // from Begin to the callback; Entra's codes live about 10 minutes of it

// BeginOptions say who is to sign in, and for what. The zero value signs in any user of the tenant.
type BeginOptions struct {
	// AccountID is the account that must sign in again, for a step-up: another user's answer is refused. Empty: any.
	AccountID string
	// Claims is a claims challenge to meet, JSON: AuthenticationRequiredError.Claims. Empty: none.
	Claims string
	// DomainHint names the user's domain, so that Entra goes straight to its sign-in page. Empty: none.
	DomainHint string
	// LoginHint is a username to fill in. Empty: the username of AccountID, if that is known here.
	LoginHint string
	// Prompt is "login", "none", "consent" or "select_account" (OpenID Connect Core 1.0 section 3.1.2.1). Empty: the
	// server decides.
	Prompt string
	// RedirectURI replaces the App's for this flow; it must be registered too. Empty: the App's.
	RedirectURI string
	// Scopes are what the app will ask tokens for. They may span several resources: the user consents to all at once,
	// the code is redeemed for those of the first scope's resource, and the refresh token gets the others. openid,
	// profile and offline_access are added. Empty: these alone. With own Endpoints only openid is added.
	Scopes []string
	// TenantID is another tenant to sign in to, one of AdditionallyAllowedTenants. Empty: the App's.
	TenantID string
}

// Flow is a sign-in under way: what Begin made and Redeem needs. Keep it with App.SealFlow between the two requests, in
// a cookie of the browser that is signing in; that is what ties the callback to the browser. It prints and marshals
// without its secrets.
type Flow struct {
	// AccountID is the account that must sign in. Empty: any.
	AccountID string
	// ClientID is the app's client ID.
	ClientID string
	// CodeVerifier is the PKCE verifier (RFC 7636 section 4.1). Secret.
	CodeVerifier string
	// Expires is when Redeem stops accepting the callback: 15 minutes after Begin.
	Expires time.Time
	// Nonce ties the ID token to this flow (OpenID Connect Core 1.0 section 3.1.2.1).
	Nonce string
	// RedirectURI is where the server sends the browser back to.
	RedirectURI string
	// Scopes are those of BeginOptions.
	Scopes []string
	// State ties the callback to this flow (RFC 6749 section 10.12).
	State string
	// TenantID is the tenant the user signs in to. Empty with own Endpoints.
	TenantID string
	// URL is where to send the browser. Empty in a flow from App.OpenFlow.
	URL string
}

// Begin makes a new flow: state, nonce and PKCE verifier of 256 random bits each, and the URL to redirect the browser
// to. options may be nil. Nothing is sent and nothing is kept. Errors: invalid options, a tenant that is not allowed, own
// Endpoints without Authorize, ErrClosed.
func (a *App) Begin(options *BeginOptions) (*Flow, error) {
	if a.isClosed() {
		return nil, ErrClosed
	}
	if options == nil {
		options = &BeginOptions{}
	}
	flow, err := a.newFlow(options)
	if err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	return flow, nil
}

func (a *App) newFlow(o *BeginOptions) (*Flow, error) {
	if err := a.checkBegin(o); err != nil {
		return nil, err
	}
	tenantID, err := a.tenants.resolveSignIn(o.TenantID)
	if err != nil {
		return nil, err
	}
	authorize := a.site.endpointsOf(tenantID).Authorize
	if authorize == "" {
		return nil, errors.New("Endpoints has no Authorize: give the URL of the authorize endpoint")
	}
	flow := &Flow{
		AccountID:    o.AccountID,
		ClientID:     a.clientID,
		CodeVerifier: newRandom(),
		Expires:      time.Now().Add(flowLifetime).Round(0),
		Nonce:        newRandom(),
		RedirectURI:  cmp.Or(o.RedirectURI, a.redirectURI),
		Scopes:       append([]string(nil), o.Scopes...),
		State:        newRandom(),
		TenantID:     tenantID,
	}
	flow.URL = a.authorizeURL(authorize, flow, o)
	return flow, nil
}

func (a *App) checkBegin(o *BeginOptions) error {
	if err := checkScopes(o.Scopes); err != nil {
		return err
	}
	if err := checkClaims(o.Claims); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"AccountID": o.AccountID, "DomainHint": o.DomainHint, "LoginHint": o.LoginHint, "Prompt": o.Prompt,
	} {
		if hasControl(value) || len(value) > 1024 {
			return fmt.Errorf("invalid %s %s: it holds control characters or is longer than 1024 bytes", name, quoted(value))
		}
	}
	if o.RedirectURI != "" {
		return checkRedirectURI(o.RedirectURI, isPublic(a.auth))
	}
	return nil
}

// authorizeURL is RFC 6749 section 4.1.1 with RFC 7636 section 4.3, OpenID Connect Core 1.0 section 3.1.2.1, and
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#request-an-authorization-code.
// It has no response_mode: query is the default for a code everywhere, and the only one whose cookies work with
// SameSite=Lax.
func (a *App) authorizeURL(authorize string, flow *Flow, o *BeginOptions) string {
	query := url.Values{
		"client_id":             {flow.ClientID},
		"code_challenge":        {codeChallenge(flow.CodeVerifier)},
		"code_challenge_method": {"S256"},
		"nonce":                 {flow.Nonce},
		"redirect_uri":          {flow.RedirectURI},
		"response_type":         {"code"},
		"scope":                 {withReserved(flow.Scopes, a.site.own != nil)},
		"state":                 {flow.State},
	}
	for name, value := range map[string]string{
		"claims":      o.Claims,
		"domain_hint": o.DomainHint,
		"login_hint":  a.loginHint(o),
		"prompt":      o.Prompt,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return authorize + querySeparator(authorize) + query.Encode()
}

// querySeparator goes between an endpoint, which may have a query, and more of it.
func querySeparator(endpoint string) string {
	if strings.Contains(endpoint, "?") {
		return "&"
	}
	return "?"
}

// loginHint fills in who must sign in. With a hint Entra would ignore select_account.
func (a *App) loginHint(o *BeginOptions) string {
	if o.LoginHint != "" || o.AccountID == "" || o.Prompt == "select_account" {
		return o.LoginHint
	}
	if s := a.registry.find(a, o.AccountID).grant.current.Load(); s != nil {
		return s.account.Username
	}
	return ""
}

// codeChallenge is S256 of RFC 7636 section 4.2.
func codeChallenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (f Flow) text() string {
	return fmt.Sprintf("authcode.Flow(client %s, tenant %s, expires %s, %s)", f.ClientID, cmp.Or(f.TenantID, "none"), f.Expires.UTC().Format(time.RFC3339), mask)
}

// Format prints no state, nonce or verifier, for every verb.
func (f Flow) Format(state fmt.State, verb rune) { formatAs(state, verb, f.text()) }

// MarshalJSON gives no state, nonce or verifier: App.SealFlow is the one way to keep a flow.
func (f Flow) MarshalJSON() ([]byte, error) { return marshalAs(f.text()) }

// MarshalText gives no state, nonce or verifier.
func (f Flow) MarshalText() ([]byte, error) { return []byte(f.text()), nil }

// LogValue gives no state, nonce or verifier to slog.
func (f Flow) LogValue() slog.Value { return slog.StringValue(f.text()) }
