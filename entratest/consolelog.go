package entratest

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// consoleLogSize is how many requests the console shows.
const consoleLogSize = 100

// consoleLog is the newest part of the log as the console shows it, newest first.
type consoleLog struct {
	Version string // an ETag, RFC 9110 section 8.8.3
	Off     bool
	Entries []consoleEntry
}

// consoleEntry is a request, with all secrets hidden.
type consoleEntry struct {
	Number                       uint64
	Time                         time.Time
	Method, Path, Tenant         string
	Endpoint, App, User, Grant   string
	Status                       int
	Outcome, Reason, Code, Fault string
	AADSTS                       int
	Refused                      bool
	Tables                       []consoleTable
}

// consoleTable is a set of parameters.
type consoleTable struct {
	Caption string
	Rows    []consoleParameter
}

type consoleParameter struct {
	Name   string
	Value  string // of a hidden one: what can be said about it
	Hidden bool
}

func (e *Emulator) consoleLog() consoleLog {
	requests, changes := e.log.newest(consoleLogSize)
	// After a restart the numbers begin again: the key tells the two logs apart.
	log := consoleLog{
		Version: fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(e.console.key[:4]), changes),
		Off:     e.log.limit < 0,
	}
	directory := e.index.Load()
	slices.Reverse(requests)
	for i := range requests {
		log.Entries = append(log.Entries, e.console.entry(&requests[i], directory))
	}
	return log
}

func (c *console) entry(r *Request, directory *directoryIndex) consoleEntry {
	m := c.masking(r)
	e := consoleEntry{
		Number: r.number, Time: r.Time.UTC(), Method: m.text(r.Method), Path: m.text(r.Path), Tenant: m.text(r.TenantID),
		Endpoint: r.Endpoint, App: m.text(r.ClientID), User: r.Username, Grant: m.text(r.GrantType),
		Status: r.Status, Outcome: outcome(r), Reason: m.text(r.Description), Code: r.ErrorCode, AADSTS: r.AADSTS, Fault: r.Fault,
		Refused: r.ErrorCode != "" || r.Status >= 400,
	}
	if app := directory.app(r.ClientID); app != nil && app.Name != "" {
		e.App = app.Name
	}
	if tenant := directory.tenants[strings.ToLower(r.TenantID)]; tenant != nil && tenant.Domain != "" {
		e.Tenant = tenant.Domain
	}
	for _, table := range []consoleTable{
		{"Query", m.parameters(r.Query, harmless)},
		{"Form", m.parameters(r.Form, harmless)},
		{"Headers", m.parameters(r.Header, harmlessHeader)},
	} {
		if len(table.Rows) > 0 {
			e.Tables = append(e.Tables, table)
		}
	}
	return e
}

// outcome is what became of a request, in a few words.
func outcome(r *Request) string {
	switch {
	case r.Status == 0:
		return "not answered"
	case r.ErrorCode != "":
		text := r.ErrorCode
		if r.AADSTS != 0 {
			text += " AADSTS" + strconv.Itoa(r.AADSTS)
		}
		return text
	case r.Endpoint == endpointToken && r.Status == http.StatusOK:
		return "tokens"
	case r.Endpoint == endpointAuthorize && r.Status == http.StatusFound:
		return "back to the app"
	case r.Endpoint == endpointAuthorize && r.Status == http.StatusOK:
		return "a page"
	}
	return http.StatusText(r.Status)
}

// parameters are names and values in the order of the names.
func (m *masking) parameters(values map[string][]string, shown func(name string) bool) []consoleParameter {
	var all []consoleParameter
	for _, name := range slices.Sorted(maps.Keys(values)) {
		for _, value := range values[name] {
			p := consoleParameter{Name: m.text(name), Value: m.text(value), Hidden: !shown(name)}
			if p.Hidden {
				p.Value = m.mark(value)
			}
			all = append(all, p)
		}
	}
	return all
}
