package authcode

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tenants is the rule for which tenant a call may name: azidentity's table, so that moving to this package changes
// nothing.
type tenants struct {
	home       string   // the tenant given at construction
	additional []string // AdditionallyAllowedTenants
	ownServer  bool     // own Endpoints: no tenants there
}

func newTenants(home string, additional []string, own *Endpoints) (tenants, error) {
	for _, tenantID := range additional {
		if tenantID == "*" {
			continue
		}
		if err := checkTenantID(tenantID); err != nil {
			return tenants{}, fmt.Errorf("AdditionallyAllowedTenants: %w", err)
		}
	}
	if own == nil || home != "" {
		if err := checkTenantID(home); err != nil {
			return tenants{}, err
		}
	}
	return tenants{home: home, additional: slices.Clone(additional), ownServer: own != nil}, nil
}

// resolve gives the tenant to ask, or an error before any request. A refresh token works in every tenant
// (https://learn.microsoft.com/entra/identity-platform/refresh-tokens), so keeping it in is this table's duty.
func (t *tenants) resolve(requested string) (string, error) {
	switch {
	case requested == "" || strings.EqualFold(requested, t.home):
		return t.home, nil
	case t.ownServer:
		return "", fmt.Errorf("tenant %s cannot be asked: with own Endpoints there is one authorization server and no tenants", quoted(requested))
	case isADFS(t.home):
		return "", errors.New("AD FS has no tenants: leave TenantID empty")
	}
	if err := checkTenantID(requested); err != nil {
		return "", err
	}
	switch {
	case slices.Contains(t.additional, "*"), containsFold(t.additional, requested):
		return requested, nil
	case len(t.additional) == 0 && strings.EqualFold(t.home, tenantOrganizations):
		return requested, nil
	}
	return "", fmt.Errorf("%s is not configured for tenant %s: add it to AdditionallyAllowedTenants, or \"*\" to allow any", credentialName, quoted(requested))
}

// resolveSignIn gives the tenant to sign in at. "*" lets a call name any tenant; it must not let a flow be begun where any
// directory in the world can answer, in an App that is for one.
func (t *tenants) resolveSignIn(requested string) (string, error) {
	tenantID, err := t.resolve(requested)
	if err == nil && isMultiTenant(tenantID) && !isMultiTenant(t.home) {
		return "", fmt.Errorf("users cannot sign in at %q in an App for the tenant %s: make an App for %q and name its SignInTenants", tenantID, quoted(t.home), tenantID)
	}
	return tenantID, err
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(item string) bool { return strings.EqualFold(item, s) })
}
