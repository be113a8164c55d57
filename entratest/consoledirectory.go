package entratest

import (
	"fmt"
	"strings"
)

// consoleDirectory is the directory as the console shows it, without passwords and secrets.
type consoleDirectory struct {
	Tenants   []Tenant
	Apps      []consoleApp
	Users     []consoleUser
	Resources []Resource
}

type consoleApp struct {
	App
	Tenant  string
	Proofs  string // how it can prove itself
	Notable []string
}

type consoleUser struct {
	Username, Name, Tenant, ObjectID string
	Traits                           []string
}

func (e *Emulator) consoleDirectory() consoleDirectory {
	index := e.index.Load()
	d := index.directory
	shown := consoleDirectory{Tenants: d.Tenants, Resources: d.Resources}
	for _, a := range d.Apps {
		shown.Apps = append(shown.Apps, consoleApp{App: a, Tenant: index.tenantName(a.TenantID), Proofs: a.proofs(), Notable: a.notable()})
	}
	for i := range d.Users {
		u := &d.Users[i]
		shown.Users = append(shown.Users, consoleUser{
			Username: u.Username, Name: u.Name, Tenant: index.tenantName(u.TenantID), ObjectID: u.ObjectID,
			Traits: u.traits(e.state(u), u.TenantID),
		})
	}
	return shown
}

// tenantName is a tenant's domain, or its ID.
func (x *directoryIndex) tenantName(id string) string {
	if t := x.tenants[strings.ToLower(id)]; t != nil && t.Domain != "" {
		return t.Domain
	}
	return id
}

// proofs counts what an app can authenticate with; the secrets themselves are in the directory.
func (a *App) proofs() string {
	var all []string
	for _, proof := range []struct {
		n    int
		name string
	}{
		{len(a.Secrets), "secret"}, {len(a.ExpiredSecrets), "expired secret"},
		{len(a.Certificates), "certificate"}, {len(a.FederatedCredentials), "federated credential"},
	} {
		switch {
		case proof.n == 1:
			all = append(all, "1 "+proof.name)
		case proof.n > 1:
			all = append(all, fmt.Sprintf("%d %ss", proof.n, proof.name))
		}
	}
	return strings.Join(all, ", ")
}

func (a *App) notable() []string {
	var all []string
	for _, trait := range []struct {
		is   bool
		what string
	}{{a.MultiTenant, "multi-tenant"}, {a.AsksConsent, "asks for consent"}, {len(a.Assigned) > 0, "for assigned users"}, {a.Disabled, "disabled"}} {
		if trait.is {
			all = append(all, trait.what)
		}
	}
	return all
}
