package entratest

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ConsoleAccess says who may open an emulator's console; see [Options].Console.
type ConsoleAccess int

const (
	// ConsoleLocal lets this machine open the console: requests must come from a loopback address and name the emulator
	// or a loopback host. Others get 403.
	ConsoleLocal ConsoleAccess = iota
	// ConsoleAnywhere lets everybody who reaches the emulator open the console: see the directory, and make it fail.
	ConsoleAnywhere
	// ConsoleOff leaves the console out: its paths are as unknown as any.
	ConsoleOff
)

// The console's paths. They are no tenant's: those have more segments.
const (
	consolePath    = "/emulator"
	consoleLogPath = "/emulator/log"
)

// maxConsoleBody bounds what a form of the console posts, in bytes.
const maxConsoleBody = 64 << 10

// console is the emulator's page for people, who want to see what was asked and to make things go wrong. It has nothing
// of Entra's.
type console struct {
	access ConsoleAccess
	token  string // its forms bring it along, so that no other page can post them
	key    []byte // of the marks that stand for hidden values
	origin *http.CrossOriginProtection
}

func newConsole(access ConsoleAccess) console {
	key := make([]byte, 32)
	rand.Read(key)
	return console{access: access, token: rand.Text(), key: key, origin: http.NewCrossOriginProtection()}
}

//go:embed console/console.html console/console.css console/console.js
var consoleFiles embed.FS

var (
	consoleStyle  = consoleFile("console/console.css")
	consoleScript = consoleFile("console/console.js")

	consoleTemplates = template.Must(template.New("").Funcs(template.FuncMap{
		"style":        func() template.CSS { return template.CSS(style) }, // the pages' own
		"consoleStyle": func() template.CSS { return template.CSS(consoleStyle) },
		"script":       func() template.JS { return template.JS(consoleScript) },
	}).ParseFS(consoleFiles, "console/console.html"))

	consolePolicy = "default-src 'none'; style-src " + sourceHash(style) + " " + sourceHash(consoleStyle) +
		"; script-src " + sourceHash(consoleScript) + "; connect-src 'self'; img-src data:; form-action 'self'" +
		"; base-uri 'none'; frame-ancestors 'none'"
)

func consoleFile(name string) string {
	content, err := consoleFiles.ReadFile(name)
	if err != nil {
		panic("entratest: " + err.Error())
	}
	return string(content)
}

// serveConsole answers a request that is the console's; it reports whether it was.
func (e *Emulator) serveConsole(w http.ResponseWriter, r *http.Request) bool {
	home := r.URL.Path == "/" && readsPages(r)
	if e.console.access == ConsoleOff || (!home && r.URL.Path != consolePath && r.URL.Path != consoleLogPath) {
		return false
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", consolePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	switch {
	case !e.admitsToConsole(r):
		http.Error(w, "The emulator's console answers on this machine only.", http.StatusForbidden)
	case home:
		http.Redirect(w, r, consolePath, http.StatusSeeOther)
	case r.Method == http.MethodPost && r.URL.Path == consolePath:
		e.consolePosted(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
	case r.URL.Path == consoleLogPath:
		e.sendConsoleLog(w, r)
	default:
		e.sendConsole(w, r, http.StatusOK, "")
	}
	return true
}

// readsPages tells a browser that opens a page from a client that looks for an API.
func readsPages(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// admitsToConsole also looks at the host asked for: a name of somebody else's that leads here is DNS rebinding.
func (e *Emulator) admitsToConsole(r *http.Request) bool {
	if e.console.access == ConsoleAnywhere {
		return true
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !isLoopback(from) {
		return false
	}
	u := url.URL{Host: r.Host}
	return isLoopback(u.Hostname()) || strings.EqualFold(u.Hostname(), e.host())
}

// isLoopback reports whether a host is this machine, whoever asks.
func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// host is the emulator's name without a port.
func (e *Emulator) host() string {
	u, err := url.Parse(e.origin)
	if err != nil {
		return "" // unreachable: the origin was checked
	}
	return u.Hostname()
}

// consolePage is what the console's template shows.
type consolePage struct {
	URL, Token    string
	Alert, Done   string
	Refresh       string // seconds, for browsers without scripts
	Now           time.Time
	Ahead         time.Duration // of the real time
	Directory     consoleDirectory
	Log           consoleLog
	Faults        []activeFault
	Kinds         []faultKind
	Endpoints     []string
	Rotations     []rotationChoice
	ConsoleRemote bool
}

type rotationChoice struct {
	Value       Rotation
	Name, About string
	Chosen      bool
}

func (e *Emulator) sendConsole(w http.ResponseWriter, r *http.Request, status int, alert string) {
	page := consolePage{
		URL: e.origin, Token: e.console.token, Alert: alert, Done: consoleDone[r.URL.Query().Get("done")],
		Now: e.Now().UTC(), Ahead: time.Duration(e.offset.Load()),
		Directory: e.consoleDirectory(), Log: e.consoleLog(),
		Faults: e.faults.active(), Kinds: faultKinds, Endpoints: faultEndpoints, Rotations: e.rotations(),
		ConsoleRemote: e.console.access == ConsoleAnywhere,
	}
	if alert != "" {
		page.Done = ""
	}
	if r.URL.Query().Get("refresh") != "" {
		page.Refresh = "5"
	}
	e.render(w, status, "console", page)
}

// sendConsoleLog sends the log alone, for the console's script; nothing, if the script has it already.
func (e *Emulator) sendConsoleLog(w http.ResponseWriter, r *http.Request) {
	log := e.consoleLog()
	w.Header().Set("ETag", log.Version)
	if r.Header.Get("If-None-Match") == log.Version {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	e.render(w, http.StatusOK, "log", log)
}

func (e *Emulator) render(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := consoleTemplates.ExecuteTemplate(&body, name, data); err != nil {
		panic(fmt.Sprintf("entratest: console: %v", err))
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// rotations are the modes to choose from.
func (e *Emulator) rotations() []rotationChoice {
	all := []rotationChoice{
		{RotationKeep, "keep", "used refresh tokens stay good, as at Entra", false},
		{RotationRefuse, "refuse", "a used refresh token is refused", false},
		{RotationRevokeFamily, "revoke family", "a second use ends all refresh tokens of that sign-in", false},
	}
	for i := range all {
		all[i].Chosen = all[i].Value == e.families.mode()
	}
	return all
}
