package entratest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var guidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func isGUID(s string) bool { return guidPattern.MatchString(s) }

// check refuses a directory the emulator could only misread: a test that fails here says more than one that gets a
// puzzling AADSTS number later.
func (d *Directory) check() error {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("entratest: "+format, args...))
	}
	seen := make(map[string]bool)
	unique := func(kind, id string) {
		key := kind + " " + strings.ToLower(id)
		if seen[key] {
			bad("%s %q is there twice", kind, id)
		}
		seen[key] = true
	}
	guid := func(what, id string) {
		if !isGUID(id) {
			bad("%s %q is not a GUID", what, id)
		}
	}
	tenant := func(what, id string) {
		if !slices.ContainsFunc(d.Tenants, func(t Tenant) bool { return strings.EqualFold(t.ID, id) }) {
			bad("%s: no tenant has the ID %q", what, id)
		}
	}
	for _, t := range d.Tenants {
		guid("tenant ID", t.ID)
		unique("tenant", t.ID)
		if t.Domain != "" {
			unique("tenant", t.Domain)
		}
	}
	for _, u := range d.Users {
		guid("user "+u.Username+": object ID", u.ObjectID)
		unique("object ID", u.ObjectID)
		unique("username", u.Username)
		tenant("user "+u.Username, u.TenantID)
		for _, g := range u.Guests {
			guid("guest "+u.Username+": object ID", g.ObjectID)
			unique("object ID", g.ObjectID)
			tenant("guest "+u.Username, g.TenantID)
		}
	}
	for _, a := range d.Apps {
		guid("app "+a.Name+": client ID", a.ClientID)
		unique("client ID", a.ClientID)
		tenant("app "+a.Name, a.TenantID)
		if a.Type < Confidential || a.Type > SPA {
			bad("app %s: unknown Type %d", a.Name, a.Type)
		}
	}
	for _, r := range d.Resources {
		guid("resource "+r.ID+": AppID", r.AppID)
		unique("resource", r.ID)
		if r.TokenVersion != 1 && r.TokenVersion != 2 {
			bad("resource %s: TokenVersion is %d, not 1 or 2", r.ID, r.TokenVersion)
		}
	}
	return errors.Join(problems...)
}
