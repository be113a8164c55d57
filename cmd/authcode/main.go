// Command authcode shows and uses the authorization code flow of Microsoft Entra ID: a demo of a user's whole journey on
// an embedded emulator, and the redemption of a code from a shell. Its --help tells it all.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}))
}
