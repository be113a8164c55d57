package main

import (
	"slices"

	"github.com/authcode-go/authcode/entratest"
)

// document leaves out the users of whom the sign-in page says only why they may not come in.
func (w *served) document() eventDocument {
	directory := w.emulator.Directory()
	home := directory.App("web").TenantID
	d := eventDocument{
		Event:     "listening",
		URL:       w.origin(),
		Authority: w.emulator.URL(),
		Console:   w.emulator.URL() + "/emulator",
		CAFile:    w.caFile,
	}
	for _, u := range newStateDocument(w.emulator, w.caFile).Users {
		if known := directory.User(u.ObjectID); !known.Blocked && !known.Disabled && isOf(known, home) {
			d.Users = append(d.Users, u)
		}
	}
	return d
}

// isOf reports whether a user is of a tenant, as a member or as a guest.
func isOf(u entratest.User, tenantID string) bool {
	return u.TenantID == tenantID || slices.ContainsFunc(u.Guests, func(g entratest.Guest) bool { return g.TenantID == tenantID })
}

// servePrinter says what happens.
type servePrinter interface {
	serving(eventDocument) error
	stopped() error
}

// serveText is for people.
type serveText struct{ emulatorText }

func (p *serveText) serving(d eventDocument) error {
	p.line(p.bold("A web app whose users sign in, and an emulated Microsoft Entra ID for it"))
	p.line("")
	p.rows([][]string{
		{p.label("app"), d.URL, p.dim("open it in a browser")},
		{p.label("authority"), d.Authority, p.dim("the browser warns of its certificate: go on, or")},
		{p.label("trust"), d.CAFile, p.dim("once")},
		{p.label("console"), d.Console, p.dim("what was asked, and what shall go wrong")},
	})
	p.line("")
	p.users(d.Users)
	p.line(p.good("listening") + " on " + d.URL + "; Ctrl-C ends it")
	return p.failed
}

// serveJSON is for programs: a document a line.
type serveJSON struct{ emulatorJSON }

func (p *serveJSON) serving(d eventDocument) error { return p.print(d) }
