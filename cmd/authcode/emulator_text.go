package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"unicode/utf8"
)

// variable is one of the environment that leads clients to the emulator.
type variable struct{ name, value, about string }

// environment is what clients that are not told in code are told by.
func (d stateDocument) environment() []variable {
	return []variable{
		{"AZURE_AUTHORITY_HOST", d.Authority, "Azure SDKs"},
		{"SSL_CERT_FILE", d.CAFile, "Go, Python's ssl and httpx, OpenSSL"},
		{"REQUESTS_CA_BUNDLE", d.CAFile, "Python: requests, msal, azure-identity"},
		{"NODE_EXTRA_CA_CERTS", d.CAFile, "Node"},
		{"CURL_CA_BUNDLE", d.CAFile, "curl"},
	}
}

// export is how a shell of this system sets a variable.
func (v variable) export(system string) string {
	if system == "windows" {
		return "$env:" + v.name + " = '" + strings.ReplaceAll(v.value, "'", "''") + "'"
	}
	return "export " + v.name + "=" + shellQuoted(v.value)
}

// shellQuoted is a word of a POSIX shell.
func shellQuoted(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// emulatorText is for people.
type emulatorText struct {
	out, err io.Writer
	palette
	renewed bool
	failed  error // the first of writing
}

func (p *emulatorText) line(text string) {
	if _, err := fmt.Fprintln(p.out, strings.TrimRight(text, " ")); err != nil && p.failed == nil {
		p.failed = err
	}
}

func (p *emulatorText) listening(s started) error {
	d := s.document
	p.line(p.bold("Microsoft Entra ID, emulated"))
	p.line("")
	p.rows([][]string{
		{p.label("authority"), d.Authority},
		{p.label("console"), s.console, p.dim("what was asked, and what shall go wrong")},
		{p.label("state"), s.stateFile, p.dim("all of this, for programs")},
		{p.label("directory"), orElse(s.config, "the default one"), p.dim(p.directoryNote(s))},
	})
	p.line("")
	p.line(p.bold("For clients to find and trust it"))
	p.line("")
	for _, v := range d.environment() {
		p.line("  " + p.dim("# "+v.about))
		p.line("  " + v.export(runtime.GOOS))
	}
	if p.renewed {
		p.line("  " + p.bad("The certificate authority is new: clients that trusted the old one have to trust it again."))
	}
	p.line("")
	p.users(d.Users)
	p.line(p.bold("Apps"))
	p.line("")
	rows := [][]string{{p.dim("name"), p.dim("type"), p.dim("client ID"), p.dim("first redirect URI")}}
	for _, a := range d.Apps {
		first := ""
		if len(a.RedirectURIs) > 0 {
			first = oneLine(a.RedirectURIs[0])
		}
		rows = append(rows, []string{p.label(oneLine(a.Name)), a.Type.String(), a.ClientID, first})
	}
	p.rows(rows)
	p.line("")
	p.line(p.good("listening") + " on " + d.Authority + " (" + s.address.String() + "); Ctrl-C ends it")
	return p.failed
}

func (p *emulatorText) users(all []stateUser) {
	p.line(p.bold("Users"))
	p.line("")
	rows := [][]string{{p.dim("username"), p.dim("password"), p.dim("name")}}
	for _, u := range all {
		rows = append(rows, []string{p.label(oneLine(u.Username)), orElse(oneLine(u.Password), "any"), oneLine(u.Name)})
	}
	p.rows(rows)
	p.line("")
}

func (p *emulatorText) directoryNote(s started) string {
	if s.config == "" {
		return "--config FILE brings your own"
	}
	return "read again when it changes"
}

// rows writes columns, of which each is as wide as its widest text.
func (p *emulatorText) rows(all [][]string) {
	var widths []int
	for _, row := range all {
		for i, text := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], visible(text))
		}
	}
	for _, row := range all {
		line := "  "
		for i, text := range row {
			line += text + strings.Repeat(" ", widths[i]-visible(text)+2)
		}
		p.line(line)
	}
}

// visible is how many characters of a text are seen: those of a palette's colours are not.
func visible(text string) int {
	n := utf8.RuneCountInString(text)
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "\x1b[")
		if !found {
			return n
		}
		code, after, _ := strings.Cut(after, "m")
		n -= len("\x1b[") + len(code) + len("m")
		rest = after
	}
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (p *emulatorText) reloaded(path string, d stateDocument) error {
	p.line(fmt.Sprintf("%s %s: %s, %s, %s", p.good("reloaded"), path,
		counted(len(d.Tenants), "tenant"), counted(len(d.Users), "user"), counted(len(d.Apps), "app")))
	return p.failed
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// notReloaded goes to standard error: somebody has to mend the file.
func (p *emulatorText) notReloaded(_ string, err error) error {
	fmt.Fprintln(p.err, "authcode: not reloaded, the directory is as it was: "+oneLine(err.Error()))
	return nil
}

func (p *emulatorText) stopped() error { return nil }
