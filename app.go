package authcode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/tracing"

	"github.com/authcode-go/authcode/internal/flight"
)

// App is an app registration: it signs users in and keeps their grants. Make one per process; it serves all users, and all
// its methods are safe for concurrent use. Grants live in the [Store] that was given, for all replicas of the app, and in memory
// in front of it; without a Store in this process's memory alone, and end with it.
type App struct {
	wire
	lifespan

	effectiveStore Store // store, or one in memory
	onEvent        func(context.Context, Event)
	redirectURI    string
	replica        string // names this App among those that share a store
	sealer         Sealer
	signInTenants  []string
	store          Store // nil: none was given
	tenants        tenants
	tracer         tracing.Tracer

	backlog     backlog
	callbacks   callbackBoard
	outage      outage
	patience    patience
	redemptions flight.Shared[redemption, *AuthorizationCodeCredential]
	registry    registry
	trusts      trusts
}

// AppOptions are the optional parts of [NewApp]. The zero value is safe: Entra ID's public cloud, one tenant, in memory.
type AppOptions struct {
	// ClientOptions are azcore's: Cloud (the authority), Transport, Retry, Telemetry, TracingProvider and policies. Token
	// endpoint bodies are never logged, whatever Logging says. Policies see the requests, secrets included.
	azcore.ClientOptions

	// AdditionallyAllowedTenants are the tenants that a call may name besides the App's own, and that a flow may be begun for
	// (BeginOptions.TenantID), "*" for any. Empty: no other.
	AdditionallyAllowedTenants []string
	// Endpoints are those of a server that is not laid out as Entra ID is. nil: derived from authority and tenant.
	Endpoints *Endpoints
	// MaxAccountsInMemory is how many accounts stay decoded in memory in front of a Store; those that were not asked for
	// longest leave, by and large, and are read again when they are. 0: 100,000. Without a Store it does nothing:
	// then grants leave that need a sign-in, or were idle for 90 days, and no others.
	MaxAccountsInMemory int
	// OnEvent is told what happens to grants, for metrics and logs. It is called from the goroutine that did the work, must
	// be quick, and may not call back into the App. A panic in it is contained. nil: nobody is told.
	OnEvent func(context.Context, Event)
	// Sealer seals flows (SealFlow) and records. Required with a Store. nil: a random key of this process, so that a callback
	// must reach the process that began its flow. Give all replicas the same.
	Sealer Sealer
	// SignInTenants are the directories, by ID, whose users may sign in at "common" or "organizations", where any directory in
	// the world can answer. Required there, "*" for any; an error elsewhere.
	SignInTenants []string
	// Store keeps the grants for all replicas, and over restarts. nil: memory only.
	Store Store
}

const defaultMaxAccounts = 100_000

func (o *AppOptions) checkStore() error {
	switch {
	case o.MaxAccountsInMemory < 0:
		return fmt.Errorf("MaxAccountsInMemory is %d: use a positive number, or 0 for %d", o.MaxAccountsInMemory, defaultMaxAccounts)
	case o.Store != nil && o.Sealer == nil:
		return errors.New("a Store needs a Sealer, the same on all replicas: records are never stored in plain text; make one with NewSealer of 32 random bytes")
	}
	return nil
}

// NewApp makes an App of an app registration.
//
//   - tenantID is the directory whose users sign in: its ID, a domain, "organizations" or "common"; "adfs" for AD FS. It may
//     be empty with own Endpoints.
//   - clientID is the application (client) ID.
//   - redirectURI is where the server sends the browser back to, registered for the app.
//   - auth is how the app proves itself; an app without proof says so with PublicAuth.
//
// No request is sent. Invalid arguments are errors that name the argument. Close the App when the process ends.
func NewApp(tenantID, clientID, redirectURI string, auth ClientAuth, options *AppOptions) (*App, error) {
	if options == nil {
		options = &AppOptions{}
	}
	if auth == nil {
		return nil, errors.New("authcode: no client authentication: use SecretAuth, CertificateAuth or AssertionAuth, or PublicAuth for an app that has none")
	}
	if err := options.checkStore(); err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	app, err := newApp(appConfig{
		tenantID:      tenantID,
		clientID:      clientID,
		redirectURI:   redirectURI,
		auth:          auth,
		client:        options.ClientOptions,
		additional:    options.AdditionallyAllowedTenants,
		endpoints:     options.Endpoints,
		onEvent:       options.OnEvent,
		sealer:        options.Sealer,
		signInTenants: options.SignInTenants,
	})
	if err == nil {
		err = app.checkSignInTenants()
	}
	if err != nil {
		return nil, fmt.Errorf("authcode: %w", err)
	}
	if app.sealer == nil {
		app.sealer = newProcessSealer()
	}
	app.store, app.effectiveStore = options.Store, options.Store
	if app.store == nil {
		app.effectiveStore = NewMemoryStore()
	} else {
		app.outlast()
	}
	app.replica = newRandom()
	app.registry.limit = cmp.Or(options.MaxAccountsInMemory, defaultMaxAccounts)
	return app, nil
}

// appConfig is what NewApp and NewAuthorizationCodeCredential have in common.
type appConfig struct {
	tenantID, clientID, redirectURI string
	auth                            ClientAuth
	client                          azcore.ClientOptions
	additional                      []string
	endpoints                       *Endpoints
	onEvent                         func(context.Context, Event)
	sealer                          Sealer
	signInTenants                   []string
}

func newApp(c appConfig) (*App, error) {
	a := &App{
		wire: wire{
			auth:     c.auth,
			clientID: c.clientID,
			retry:    retries(refreshRetry(c.client.Retry)),
		},
		onEvent:       c.onEvent,
		redirectURI:   c.redirectURI,
		sealer:        c.sealer,
		signInTenants: append([]string(nil), c.signInTenants...),
	}
	if err := a.setSite(c); err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return checkClientID(c.clientID) },
		func() error { return c.auth.check() },
		func() error { return checkRedirectURI(c.redirectURI, isPublic(c.auth)) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	a.lifespan.begin()
	a.tracer = c.client.TracingProvider.NewTracer(moduleName, version)
	a.pipeline = newPipeline(c.client)
	return a, nil
}

func (a *App) setSite(c appConfig) error {
	var err error
	if a.tenants, err = newTenants(c.tenantID, c.additional, c.endpoints); err != nil {
		return err
	}
	if c.endpoints != nil {
		own := *c.endpoints
		a.site.own = &own
		return own.check()
	}
	a.site.host, err = authorityHost(c.client.Cloud)
	return err
}

func (a *App) checkSignInTenants() error {
	multi := a.site.own == nil && isMultiTenant(a.tenants.home)
	switch {
	case multi && len(a.signInTenants) == 0:
		return fmt.Errorf("at %q any directory in the world can answer: name in SignInTenants whose users may sign in, or \"*\" for all", a.tenants.home)
	case !multi && len(a.signInTenants) > 0:
		return fmt.Errorf("SignInTenants is for %q and %q; the tenant %s lets in its own users alone", tenantCommon, tenantOrganizations, quoted(a.tenants.home))
	}
	for _, tenantID := range a.signInTenants {
		if tenantID != "*" && !guidPattern.MatchString(tenantID) {
			return fmt.Errorf("invalid SignInTenants %s: give tenant IDs, which is what tokens name, or \"*\"", quoted(tenantID))
		}
	}
	return nil
}

// newPipeline is azcore's pipeline with this package's transport and User-Agent, and without what could show a token.
func newPipeline(given azcore.ClientOptions) runtime.Pipeline {
	options := given
	options.Logging.IncludeBody = false
	options.Logging.AllowedHeaders = slices.DeleteFunc(slices.Clone(given.Logging.AllowedHeaders), func(name string) bool {
		return strings.EqualFold(name, "Authorization") // client_secret_basic
	})
	options.Transport = newTransport(given.Transport)
	options.Telemetry.Disabled = true // azcore's header names an Azure SDK module, which this is not
	options.APIVersion = ""
	return runtime.NewPipeline(moduleName, version, runtime.PipelineOptions{
		PerCall:  []policy.Policy{userAgentPolicy{userAgent(given.Telemetry)}},
		PerRetry: []policy.Policy{proofPolicy{}},
		Tracing:  runtime.TracingOptions{Namespace: "Microsoft.Entra"},
	}, &options)
}

const maxApplicationID = 24 // as azcore's

var ownUserAgent = "authcode/" + strings.TrimPrefix(version, "v")

func userAgent(telemetry policy.TelemetryOptions) string {
	if telemetry.Disabled {
		return ""
	}
	agent := ownUserAgent
	id := strings.ReplaceAll(telemetry.ApplicationID, " ", "/")
	if id == "" || !isVSCHAR(id) {
		return agent
	}
	return id[:min(len(id), maxApplicationID)] + " " + agent
}

// Credential gives the credential of an account (Account.ID): the same one each time while it is held, so that it can be asked
// for at every request. No request is made. If the account has no grant here, GetToken gives an *AuthenticationRequiredError
// wrapping ErrUnknownAccount, until the user signs in.
func (a *App) Credential(accountID string) *AuthorizationCodeCredential {
	return a.registry.find(a, accountID)
}

// Forget removes an account's grant, here and from the Store: the user signs out, or withdraws what they allowed. A refresh in
// flight, on any replica, does not bring it back; another replica serves what it has in memory for five minutes at most. It is
// idempotent; the server is not told (end its session with SignOutURL, and revoke at Entra with Microsoft Graph's
// revokeSignInSessions). Errors: ErrClosed; the context's; ErrStoreUnavailable: this replica has forgotten the account, and the
// record is removed as soon as the store can be reached.
func (a *App) Forget(ctx context.Context, accountID string) error {
	err := a.checkOpen(ctx)
	if err != nil {
		return err
	}
	if a.store == nil {
		a.registry.forget(accountID)
	} else {
		err = a.backlog.forget(ctx, a, a.recordKey(accountID), func() { a.registry.forget(accountID) })
	}
	a.emit(ctx, Event{Kind: EventForget, Err: err, TenantID: a.tenants.home}, accountID)
	return err
}

func (a *App) checkOpen(ctx context.Context) error {
	if err := checkContext(ctx); err != nil {
		return err
	}
	if a.isClosed() {
		return ErrClosed
	}
	return nil
}

// RedirectURI is the one given to NewApp.
func (a *App) RedirectURI() string { return a.redirectURI }

// Sealer is the effective one, for packages built on App: the one given to NewApp, else a random key of this process.
func (a *App) Sealer() Sealer { return a.sealer }

// Store is the effective one, for packages built on App: the one given to NewApp, else one in this process's memory. The grants
// are in it only if it was given.
func (a *App) Store() Store { return a.effectiveStore }

// Close stops background work, releases those who wait, and drops all tokens from memory; later calls give ErrClosed. With a Store
// it lets requests in flight finish and stores what they bring and what could not be stored before, for at most 20 seconds; without
// one it cancels them, and waits at most a second. It is idempotent, may be called at any time, and always returns nil. The Store is
// the caller's to close, afterwards.
func (a *App) Close() error {
	if !a.lifespan.end() {
		return nil
	}
	if a.store != nil {
		a.drain()
	}
	a.ground(ErrClosed)
	for _, c := range a.registry.all() {
		c.grant.drop()
	}
	a.lifespan.wait(closeWait)
	return nil
}

// drain lets what is under way come to its end.
func (a *App) drain() {
	ctx, cancel := context.WithTimeout(a.flying, drainWait)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		a.backlog.drain(ctx, a)
		select { // what the requests in flight bring comes last
		case <-a.landed:
			a.backlog.drain(ctx, a)
		case <-ctx.Done():
		}
	}()
	select {
	case <-drained:
	case <-ctx.Done():
		waitAtMost(drained, closeWait) // for a Store or Sealer that does not heed its context, no longer
	}
}

// refusesTokens reports whether what a request brings is dropped: the App is closed, and there is nowhere to keep it.
func (a *App) refusesTokens() bool { return a.flying.Err() != nil || a.store == nil && a.isClosed() }

const appText = "authcode.App(" + mask + ")"

// Format prints no secret, for every verb.
func (a *App) Format(state fmt.State, verb rune) { formatAs(state, verb, appText) }

// MarshalJSON gives no secret.
func (a *App) MarshalJSON() ([]byte, error) { return marshalAs(appText) }

// LogValue gives no secret to slog.
func (a *App) LogValue() slog.Value { return slog.StringValue(appText) }
