package main

import (
	"github.com/spf13/cobra"
)

const rootHelp = `authcode signs users in at Microsoft Entra ID with the OAuth 2.0 authorization code
flow, and gets access tokens for what they may use.

'authcode demo' shows the whole journey in a second or two, on an emulator inside the
command: no account, no network, no questions; with --serve it is a web app for your browser.
'authcode emulator' serves that emulator to clients in any language. 'authcode redeem' turns
a code that you already have into an access token.

Exit codes: 0 done, 1 failed, 2 called wrongly, 130 interrupted.`

const rootExamples = `  authcode demo
  authcode demo --serve
  authcode emulator
  pbpaste | authcode redeem --tenant contoso.com --client-id 11111111-… \
      --redirect-uri http://localhost:3000/callback --scope User.Read --secret-file secret`

func newRootCommand(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:                        "authcode",
		Short:                      "Sign users in at Microsoft Entra ID, and get tokens for them",
		Long:                       rootHelp,
		Example:                    rootExamples,
		Version:                    version(),
		Args:                       knownCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors:              true,
		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(newDemoCommand(s), newEmulatorCommand(s), newRedeemCommand(s))
	return root
}
