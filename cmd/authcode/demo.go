package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

const demoHelp = `demo takes a user through everything that happens around an authorization code, from the
sign-in page to sign-out, with the library on one side and an emulated Microsoft Entra ID
on the other. Both run inside this command and talk TLS over the loopback interface: it
needs no account and no network, asks nothing, and leaves nothing behind.

Each step checks what it says, and counts its requests to the token endpoint (POSTs). The
exit code is 0 only if every step held. Codes and tokens are shown by their first
characters and their length. NO_COLOR is honoured.

With --json there is one document at the end: ok, token_requests, duration_ms and steps, of
which each has number, name, title, ok, token_requests, duration_ms and details; one that
failed has error, expected and seen; those after it are skipped.

With --serve there is instead a web app for your browser, at http://localhost:3000: sign-in,
profile, a page that wants more proof, sessions, sign-out, made with package signin, and the
emulator's pages and console behind it. It runs until Ctrl-C or SIGTERM, with exit code 0. Its
certificate authority is that of 'authcode emulator', kept in the user's cache directory. With
--json there is one document a line, each with an event: listening (with url, authority and
users) or stopped.`

const demoExamples = `  authcode demo
  authcode demo --json | jq '.steps[] | {name, ok, duration_ms}'
  authcode demo --serve`

func newDemoCommand(s streams) *cobra.Command {
	var asJSON, serve bool
	var port int
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "See a user's whole journey, or a web app's, on an emulator inside this command",
		Long:    demoHelp,
		Example: demoExamples,
		Args:    noArguments(""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case serve && asJSON:
				return serveDemo(cmd, s, port, &serveJSON{emulatorJSON{s.out}})
			case serve:
				return serveDemo(cmd, s, port, &serveText{emulatorText{out: s.out, err: s.err, palette: palette{s.wantsColour()}}})
			case cmd.Flags().Changed("port"):
				return misused(cmd, "--port is for --serve")
			}
			var out printer = &textPrinter{out: s.out, width: widthOf(s.out), palette: palette{s.wantsColour()}}
			if asJSON {
				out = &jsonPrinter{out: s.out}
			}
			return demo(cmd.Context(), demoSteps(), out)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&serve, "serve", false, "serve a web app whose users sign in at the emulator")
	flags.IntVar(&port, "port", defaultPort, "`NUMBER` of the web app's port with --serve; 0 is any free one")
	flags.BoolVar(&asJSON, "json", false, "print one JSON document, for programs")
	return cmd
}

// demoSteps is the journey. POSTs are the requests to the token endpoint that a step makes, no more and no fewer.
func demoSteps() []step {
	return []step{
		{"emulator", "Microsoft Entra ID, emulated on this machine", 0, startEmulator},
		{"begin", "App.Begin: where to send the browser", 0, beginSignIn},
		{"sign-in", "The user signs in, the browser brings back a code", 0, signIn},
		{"redeem", "App.Redeem: the code becomes a grant", 1, redeemCallback},
		{"token", "GetToken: an access token for Microsoft Graph", 0, getToken},
		{"cached", "GetToken, again and again: from memory", 0, getCachedToken},
		{"resource", "GetToken for Azure Storage: by the refresh token", 1, getTokenOfAnotherResource},
		{"expiry", "It expires, and 100 goroutines ask for it at once", 1, joinOneRefresh},
		{"claims", "Revoked: the API challenges, the client answers", 2, meetClaimsChallenge},
		{"spent-code", "The same code again: refused", 1, redeemSpentCode},
		{"sign-out", "App.Forget: the user signs out", 0, signOut},
	}
}

// step is one stretch of the journey.
type step struct {
	name  string // for programs
	title string // for people
	posts int
	take  func(context.Context, *journey) ([]detail, error)
}

// detail is something that was seen: label and value, and what it means in the words of note.
type detail struct {
	label, value, note string
	data               any // the value for programs, where that is more than the text
}

// outcome is what became of a step.
type outcome struct {
	step
	number   int
	details  []detail
	posts    int // that were seen
	duration time.Duration
	err      error
	skipped  bool
}

// printer shows outcomes: each one as soon as it is there, and what they come to.
type printer interface {
	print(outcome)
	finish(all summary) error
}

// summary is the whole journey.
type summary struct {
	steps, posts int
	duration     time.Duration
	failed       *outcome // the first; nil: every step held
}

// demo takes the steps in turn. They build on each other, so the first that fails is the last that is taken.
func demo(ctx context.Context, steps []step, out printer) error {
	j := &journey{}
	defer j.end()
	all := summary{steps: len(steps)}
	began := time.Now()
	for i, s := range steps {
		o := outcome{step: s, number: i + 1, skipped: all.failed != nil}
		if !o.skipped {
			j.walk(ctx, &o)
		}
		if o.err != nil {
			all.failed = &o
		}
		all.posts += o.posts
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		out.print(o)
	}
	all.duration = time.Since(began)
	if err := out.finish(all); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	if all.failed != nil {
		return fmt.Errorf("step %d (%s) did not hold", all.failed.number, all.failed.name)
	}
	return nil
}
