package authcode

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/authcode-go/authcode/internal/flight"
)

// AuthorizationCodeCredential gets access tokens for exactly one user, whose authorization code it redeems or whose
// grant an [App] keeps. It is an azcore.TokenCredential. All methods are safe for concurrent use.
//
// The code is redeemed once: the first GetToken or Account sends it, later calls are served from memory or by the
// refresh token. A code is never sent again after the server answered.
type AuthorizationCodeCredential struct {
	grant grant
	owned bool // it made its App, and closes it
}

var _ azcore.TokenCredential = (*AuthorizationCodeCredential)(nil)

// AuthorizationCodeCredentialOptions are the optional parts of [NewAuthorizationCodeCredential]. The zero value is a
// public client at the public cloud.
type AuthorizationCodeCredentialOptions struct {
	// ClientOptions are azcore's: Cloud (the authority), Transport, Retry, Telemetry, TracingProvider and
	// policies. Token endpoint bodies are never logged, whatever Logging says. Policies see the requests, secrets
	// included.
	azcore.ClientOptions

	// AdditionallyAllowedTenants are the tenants that a call may name besides the credential's own, "*" for any.
	// Empty: no other.
	AdditionallyAllowedTenants []string
	// ClientAuth is how the app proves itself. nil: ClientSecret if that is set, else a public client.
	ClientAuth ClientAuth
	// ClientSecret is short for ClientAuth: SecretAuth(secret). Setting both is an error.
	ClientSecret string
	// CodeVerifier is the PKCE verifier of the sign-in that gave the code (RFC 7636 section 4.1): the verifier, not
	// the challenge. Empty: the sign-in used no PKCE.
	CodeVerifier string
	// Endpoints are those of a server that is not laid out as Entra ID is. nil: derived from authority and tenant.
	Endpoints *Endpoints
}

// NewAuthorizationCodeCredential makes a credential of an authorization code.
//
//   - tenantID is the directory the code was issued by: its ID or a domain, "common" or "organizations" if that is
//     what stood in the authorize URL. It may be empty with own Endpoints.
//   - clientID is the application (client) ID of the app registration.
//   - authorizationCode is the value of the callback's "code" parameter.
//   - redirectURI is the one that was sent to the authorize endpoint.
//
// No request is sent yet. Invalid arguments are errors that name the argument. The user's ID token is not verified
// here, since the sign-in and its nonce were yours; [App.Redeem] does verify it.
func NewAuthorizationCodeCredential(tenantID, clientID, authorizationCode, redirectURI string, options *AuthorizationCodeCredentialOptions) (*AuthorizationCodeCredential, error) {
	if options == nil {
		options = &AuthorizationCodeCredentialOptions{}
	}
	auth, err := options.clientAuth()
	if err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	app, err := newApp(appConfig{
		tenantID:    tenantID,
		clientID:    clientID,
		redirectURI: redirectURI,
		auth:        auth,
		client:      options.ClientOptions,
		additional:  options.AdditionallyAllowedTenants,
		endpoints:   options.Endpoints,
	})
	if err == nil {
		err = checkCode(authorizationCode)
	}
	if err == nil && options.CodeVerifier != "" {
		err = checkCodeVerifier(options.CodeVerifier)
	}
	if err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	c := newCredential(app, "")
	c.owned = true
	c.grant.code = &heldCode{code: authorizationCode, redirectURI: redirectURI, verifier: options.CodeVerifier}
	return c, nil
}

func (o *AuthorizationCodeCredentialOptions) clientAuth() (ClientAuth, error) {
	switch {
	case o.ClientAuth != nil && o.ClientSecret != "":
		return nil, errors.New("both ClientAuth and ClientSecret are set: set one")
	case o.ClientAuth != nil:
		return o.ClientAuth, nil
	case o.ClientSecret != "":
		return SecretAuth(o.ClientSecret), nil
	}
	return PublicAuth(), nil
}

func newCredential(app *App, accountID string) *AuthorizationCodeCredential {
	return &AuthorizationCodeCredential{grant: grant{app: app, accountID: accountID, jitter: newJitter()}}
}

// GetToken gives an access token for the scopes, of one resource, as azcore's clients ask for it. It redeems the
// code if that is still held; else it returns a cached token, or uses the refresh token.
//
// A token whose RefreshOn has passed is returned as it is while a refresh runs in the background; one that has
// expired makes the caller wait, with all others who ask, for one refresh. A call with Claims never gets a token from
// before them. When ctx ends the call returns with its error, and the request it started goes on for others.
//
// Errors: *AuthenticationRequiredError if the user must sign in again, *AuthenticationFailedError for any other
// refusal or fault, ErrClosed, the context's error; and an error before any request for no or invalid scopes, invalid
// claims, or a tenant that is not allowed.
func (c *AuthorizationCodeCredential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	// The hot path: the snapshot, its key, a comparison. No lock, no allocation. The clock comes first: reading it makes the
	// processor wait for the loads before it, and those after it can then be on their way together.
	now := time.Now()
	if s := c.grant.current.Load(); s != nil && s.first.key != nil && options.Claims == "" && ctx != nil {
		if s.first.key.isAsked(&options) && !s.first.life.stale.passed(now) && now.Sub(processStart) < s.look {
			return s.first.access, nil
		}
	}
	return c.getToken(ctx, options)
}

func (c *AuthorizationCodeCredential) getToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if err := c.ready(ctx); err != nil {
		return azcore.AccessToken{}, err
	}
	if s := c.grant.current.Load(); s != nil && options.Claims == "" {
		now := time.Now()
		token, f := s.lookup(&options, now)
		if f == fresh || f == stale && !token.retry.claim(now) {
			if now.Sub(processStart) >= s.look { // a refresh looks anyway
				c.grant.lookBehind(ctx)
			}
			return token.access, nil
		}
		if f == stale {
			if s.refreshToken == "" && now.Sub(processStart) >= s.look { // no refresh will look
				c.grant.lookBehind(ctx)
			}
			return c.renewBehind(ctx, options, token.access)
		}
	}
	if ctx.Err() != nil {
		return azcore.AccessToken{}, flight.Ended(ctx)
	}
	q, err := c.grant.app.newQuery(options)
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("authcode: %w", err)
	}
	ctx, endSpan := runtime.StartSpan(ctx, credentialName+".GetToken", c.grant.app.tracer, nil)
	ctx, release := c.grant.app.callContext(ctx)
	defer release()
	access, err := c.grant.token(ctx, q)
	err = c.grant.app.sayClosed(err)
	endSpan(err)
	return access, err
}

// renewBehind returns a stale token as it is, and starts a refresh that nobody waits for.
func (c *AuthorizationCodeCredential) renewBehind(ctx context.Context, options policy.TokenRequestOptions, access azcore.AccessToken) (azcore.AccessToken, error) {
	q, err := c.grant.app.newQuery(options)
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("authcode: %w", err)
	}
	c.grant.refreshBehind(ctx, q)
	return access, nil
}

// Account tells who the user is, and redeems the code if it is still held. Errors are GetToken's, and one that says
// so if the server did not tell whose grant it is.
func (c *AuthorizationCodeCredential) Account(ctx context.Context) (Account, error) {
	if err := c.ready(ctx); err != nil {
		return Account{}, err
	}
	g := &c.grant
	if ctx.Err() != nil {
		return Account{}, flight.Ended(ctx)
	}
	q, err := g.app.newQuery(policy.TokenRequestOptions{Scopes: g.app.reserved()})
	if err != nil {
		return Account{}, fmt.Errorf("authcode: %w", err)
	}
	ctx, release := g.app.callContext(ctx)
	defer release()
	if _, _, err := g.redeemHeld(ctx, q); err != nil {
		return Account{}, g.app.sayClosed(err)
	}
	if err := g.loaded(ctx, q); err != nil {
		return Account{}, g.app.sayClosed(err)
	}
	s := g.current.Load()
	if s != nil && time.Since(processStart) >= s.look {
		g.lookBehind(ctx)
	}
	switch {
	case s == nil && g.app.isClosed():
		return Account{}, ErrClosed
	case s == nil:
		return Account{}, g.unknownAccount(q)
	case s.account.ID == "":
		return Account{}, errors.New("authcode: the server did not say whose grant this is: its answer had neither client_info nor an ID token (ask for the scope openid)")
	}
	return s.account, nil
}

// Close stops background work, cancels requests in flight, releases those who wait, and drops the tokens from memory;
// later calls give ErrClosed. It is idempotent, may be called at any time, and always returns nil. A credential that
// came from an App is the App's to close: Close does nothing.
func (c *AuthorizationCodeCredential) Close() error {
	if !c.owned {
		return nil
	}
	err := c.grant.app.Close()
	c.grant.drop()
	return err
}

func (c *AuthorizationCodeCredential) ready(ctx context.Context) error {
	switch {
	case c.grant.app == nil:
		return errors.New("authcode: the credential was not made by NewAuthorizationCodeCredential or an App")
	case ctx == nil:
		return errors.New("authcode: the context is nil: pass the request's context, or context.Background()")
	case c.grant.app.isClosed():
		return ErrClosed
	}
	return nil
}

// token is GetToken without the hot path.
func (g *grant) token(ctx context.Context, q query) (azcore.AccessToken, error) {
	access, served, err := g.redeemHeld(ctx, q)
	if served || err != nil {
		return access, err
	}
	if err := g.loaded(ctx, q); err != nil {
		return azcore.AccessToken{}, err
	}
	access, err = g.cachedOrRefreshed(ctx, q)
	if !isPaused(err) {
		return access, err
	}
	// The caller's own refresh met a Retry-After: one more try, behind the same wait as everybody's.
	switch waited := pauses.wait(ctx, g.app.site.tokenURL(q.key.tenant)); {
	case waited == nil:
		return g.cachedOrRefreshed(ctx, q)
	case ctx.Err() != nil:
		return azcore.AccessToken{}, waited
	}
	return access, err // the server's own words, not the pause's
}

func (g *grant) cachedOrRefreshed(ctx context.Context, q query) (azcore.AccessToken, error) {
	if access, ok := g.cached(q); ok {
		return access, nil
	}
	return g.refreshedAfterPause(ctx, q)
}

func (g *grant) refreshedAfterPause(ctx context.Context, q query) (azcore.AccessToken, error) {
	s := g.current.Load()
	if s == nil {
		if g.app.isClosed() {
			return azcore.AccessToken{}, ErrClosed
		}
		return azcore.AccessToken{}, g.unknownAccount(q)
	}
	if err := s.usable(q); err != nil {
		if changed, fault := g.reloaded(ctx, s); fault != nil || !changed { // no other replica knows better
			return azcore.AccessToken{}, cmp.Or(fault, err)
		}
		if access, ok := g.cached(q); ok {
			return access, nil
		}
	}
	if err := pauses.wait(ctx, g.app.site.tokenURL(q.key.tenant)); err != nil {
		return azcore.AccessToken{}, err
	}
	return g.refreshed(ctx, q)
}

func isPaused(err error) bool {
	e, ok := errors.AsType[*AuthenticationFailedError](err)
	return ok && e.RetryAfter > 0
}

// cached gives a token that is still good: this call's redemption or another caller's turn has brought it.
func (g *grant) cached(q query) (azcore.AccessToken, bool) {
	s := g.current.Load()
	if s == nil || q.claims != "" {
		return azcore.AccessToken{}, false
	}
	token, f := s.lookup(q.options(), time.Now())
	if f == expired {
		return azcore.AccessToken{}, false
	}
	return token.access, true
}

func (q query) options() *policy.TokenRequestOptions {
	return &policy.TokenRequestOptions{EnableCAE: q.key.cae, Scopes: q.key.asked, TenantID: q.key.tenant}
}

// newQuery checks a call before anything is sent.
func (a *App) newQuery(o policy.TokenRequestOptions) (query, error) {
	if len(o.Scopes) == 0 {
		return query{}, fmt.Errorf("%s.GetToken() requires at least one scope", credentialName)
	}
	if err := checkScopes(o.Scopes); err != nil {
		return query{}, err
	}
	if err := checkClaims(o.Claims); err != nil {
		return query{}, err
	}
	if _, err := claimsToSend(o.Claims, o.EnableCAE); err != nil {
		return query{}, err
	}
	tenantID, err := a.tenants.resolve(o.TenantID)
	if err != nil {
		return query{}, err
	}
	return query{claims: o.Claims, key: a.keyFor(tenantID, o.Scopes, o.EnableCAE)}, nil
}

const credentialText = "authcode." + credentialName + "(" + mask + ")"

// Format prints no token, for every verb.
func (c *AuthorizationCodeCredential) Format(state fmt.State, verb rune) {
	formatAs(state, verb, credentialText)
}

// MarshalJSON gives no token.
func (c *AuthorizationCodeCredential) MarshalJSON() ([]byte, error) { return marshalAs(credentialText) }

// LogValue gives no token to slog.
func (c *AuthorizationCodeCredential) LogValue() slog.Value { return slog.StringValue(credentialText) }

const optionsText = "authcode.AuthorizationCodeCredentialOptions(" + mask + ")"

// Format prints no secret, for every verb.
func (o AuthorizationCodeCredentialOptions) Format(state fmt.State, verb rune) {
	formatAs(state, verb, optionsText)
}

// MarshalJSON gives no secret.
func (o AuthorizationCodeCredentialOptions) MarshalJSON() ([]byte, error) {
	return json.Marshal(optionsText)
}

// LogValue gives no secret to slog.
func (o AuthorizationCodeCredentialOptions) LogValue() slog.Value {
	return slog.StringValue(optionsText)
}
