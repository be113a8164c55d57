package main

import (
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/spf13/cobra"

	"github.com/authcode-go/authcode"
)

const redeemHelp = `redeem turns an authorization code into an access token and prints the token alone, so that
it can be piped; on a terminal it tells on standard error whose it is. With --output json it
prints one JSON document: access_token, expires_on (seconds since 1970), token_type, account.

The code comes on standard input, alone or as the whole callback URL that the browser was
sent back to. A code works once and for about ten minutes: one that the server has seen is
spent, whatever came of it.

Secrets never come as arguments, which every user of the machine can list:

  client secret    --secret-file FILE, or AUTHCODE_CLIENT_SECRET in the environment
  certificate      --certificate-file FILE, PEM with the certificate and its private key
  code verifier    --code-verifier-file FILE, or AUTHCODE_CODE_VERIFIER in the environment

A flag goes before the environment. Without secret and certificate the app is a public
client. Such a file must be a regular file of yours that nobody else can read (chmod 600),
at most 64 KiB, not a symbolic link; a newline at its end is not part of the secret.

The refresh token is neither printed nor kept.`

const redeemExamples = `  # the callback URL from the clipboard, the app's secret from a file
  pbpaste | authcode redeem --tenant contoso.com --client-id 11111111-… \
      --redirect-uri https://app.example.com/auth/callback \
      --scope https://graph.microsoft.com/User.Read --secret-file secret

  # a public client with PKCE, and the token straight into a call
  token=$(authcode redeem --tenant organizations --client-id 11111111-… \
      --redirect-uri http://localhost:3000 --scope User.Read \
      --code-verifier-file verifier <code)

  # an emulator on this machine
  authcode redeem --authority https://localhost:8443 --ca-file ca.pem … --output json <code`

const (
	envClientSecret = "AUTHCODE_CLIENT_SECRET"
	envCodeVerifier = "AUTHCODE_CODE_VERIFIER"
)

// redeemFlags are the flags of redeem as they were given.
type redeemFlags struct {
	authority        string
	caFile           string
	certificateFile  string
	clientID         string
	codeVerifierFile string
	output           string
	redirectURI      string
	scopes           []string
	secretFile       string
	tenant           string
}

func newRedeemCommand(s streams) *cobra.Command {
	var f redeemFlags
	cmd := &cobra.Command{
		Use:     "redeem",
		Short:   "Turn an authorization code, read from standard input, into an access token",
		Long:    redeemHelp,
		Example: redeemExamples,
		Args:    noArguments(": the code comes on standard input, since anyone on this machine can list arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return redeem(cmd, s, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.tenant, "tenant", "", "directory (tenant) `ID` or domain, as in the authorize URL")
	flags.StringVar(&f.clientID, "client-id", "", "application (client) `ID` of the app registration")
	flags.StringVar(&f.redirectURI, "redirect-uri", "", "the `URI` that the code was sent to")
	flags.StringArrayVar(&f.scopes, "scope", nil, "what the token is for, a `SCOPE` of one resource; may be repeated")
	flags.StringVar(&f.secretFile, "secret-file", "", "`FILE` that holds the client secret")
	flags.StringVar(&f.certificateFile, "certificate-file", "", "PEM `FILE` with the app's certificate and private key")
	flags.StringVar(&f.codeVerifierFile, "code-verifier-file", "", "`FILE` that holds the PKCE code verifier")
	flags.StringVar(&f.authority, "authority", "", "`URL` of the authority (default AZURE_AUTHORITY_HOST, else the public cloud)")
	flags.StringVar(&f.caFile, "ca-file", "", "PEM `FILE` of the only certificate authorities to trust at the authority")
	flags.StringVar(&f.output, "output", outputText, "`FORMAT` of the output: text or json")
	return cmd
}

// redeem reads all it needs before it sends anything: a code that was sent is spent.
func redeem(cmd *cobra.Command, s streams, f redeemFlags) error {
	if err := f.check(cmd); err != nil {
		return err
	}
	options, err := f.options(s.getenv)
	if err != nil {
		return err
	}
	code, err := readCode(cmd, s.in, f.redirectURI)
	if err != nil {
		return err
	}
	credential, err := authcode.NewAuthorizationCodeCredential(f.tenant, f.clientID, code, f.redirectURI, options)
	if err != nil {
		return err
	}
	defer func() { _ = credential.Close() }() // always nil
	token, err := credential.GetToken(cmd.Context(), policy.TokenRequestOptions{Scopes: f.scopeNames()})
	if err != nil {
		return err
	}
	got := redeemed{token: token}
	// Some servers do not say whose token it is; it is good all the same.
	if account, err := credential.Account(cmd.Context()); err == nil {
		got.account = &account
	}
	if err := got.print(s, f.output); err != nil {
		return fmt.Errorf("writing the token: %w", err)
	}
	return nil
}

func (f redeemFlags) check(cmd *cobra.Command) error {
	if err := requireFlags(cmd, "tenant", "client-id", "redirect-uri", "scope"); err != nil {
		return err
	}
	switch {
	case len(f.scopeNames()) == 0:
		return misused(cmd, "--scope is empty")
	case f.output != outputText && f.output != outputJSON:
		return misused(cmd, "--output is text or json, not %q", f.output)
	case f.secretFile != "" && f.certificateFile != "":
		return misused(cmd, "--secret-file and --certificate-file are both given: the app proves itself with one of them")
	}
	return nil
}

// scopeNames takes scopes as people copy them, several in one value with spaces between them.
func (f redeemFlags) scopeNames() []string {
	return strings.Fields(strings.Join(f.scopes, " "))
}

func (f redeemFlags) options(getenv func(string) string) (*authcode.AuthorizationCodeCredentialOptions, error) {
	auth, err := f.clientAuth(getenv)
	if err != nil {
		return nil, err
	}
	verifier, err := secretFrom("--code-verifier-file", f.codeVerifierFile, getenv(envCodeVerifier))
	if err != nil {
		return nil, err
	}
	client, err := trusting(f.caFile)
	if err != nil {
		return nil, err
	}
	options := &authcode.AuthorizationCodeCredentialOptions{ClientAuth: auth, CodeVerifier: verifier}
	options.ClientOptions = azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: f.authority}}
	if client != nil {
		options.Transport = client
	}
	return options, nil
}
