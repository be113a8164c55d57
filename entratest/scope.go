package entratest

import (
	"slices"
	"strings"
)

// scopes is a scope parameter, RFC 6749 section 3.3, taken apart.
type scopes struct {
	text     string
	reserved reserved
	names    []scopeName
}

// reserved are the OpenID Connect scopes, which belong to no resource.
type reserved struct{ openid, profile, email, offline bool }

func (r reserved) or(s reserved) reserved {
	return reserved{r.openid || s.openid, r.profile || s.profile, r.email || s.email, r.offline || s.offline}
}

// scopeName is a permission of a resource.
type scopeName struct {
	resource *Resource
	audience string // the resource as the client wrote it: the aud of a version 1 token
	name     string // ".default", or a permission
	short    bool   // written without the resource
}

const defaultScope = ".default"

// parseScopes resolves every scope of the text to its resource.
func (x *directoryIndex) parseScopes(text string) (scopes, *oauthError) {
	s := scopes{text: text}
	for _, word := range strings.Fields(text) {
		switch strings.ToLower(word) {
		case "openid":
			s.reserved.openid = true
			continue
		case "profile":
			s.reserved.profile = true
			continue
		case "email":
			s.reserved.email = true
			continue
		case "offline_access":
			s.reserved.offline = true
			continue
		}
		name, refusal := x.parseScope(word)
		if refusal != nil {
			return s, refusal
		}
		s.names = append(s.names, name)
	}
	for _, a := range s.names {
		// .default stands for all of a resource's permissions; beside a single one it has no meaning.
		if a.name == defaultScope && slices.ContainsFunc(s.names, func(b scopeName) bool {
			return b.resource.AppID == a.resource.AppID && b.name != defaultScope
		}) {
			return s, refuse("invalid_scope", 70011, text)
		}
	}
	return s, nil
}

// parseScope resolves one scope. A slash too many belongs to the resource: the audience of
// https://management.azure.com//.default ends with one.
func (x *directoryIndex) parseScope(word string) (scopeName, *oauthError) {
	if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }) {
		return scopeName{}, refuse("invalid_scope", 70011, word)
	}
	if !strings.Contains(word, "/") && x.graph != nil {
		name, refusal := x.graph.scope(x.graph.AppID, word)
		name.short = true
		return name, refusal
	}
	if resource, audience, name := x.locate(word); resource != nil {
		return resource.scope(audience, name)
	}
	resource := word[:strings.LastIndex(word, "/")+1]
	return scopeName{}, refuse("invalid_resource", 500011, strings.TrimSuffix(resource, "/"), "this directory")
}

// locate splits a scope or an application permission into its resource, as known and as written, and the rest. There
// is no such resource: nil.
func (x *directoryIndex) locate(word string) (resource *Resource, audience, name string) {
	for _, id := range x.resourceIDs {
		if len(word) <= len(id.text) || word[len(id.text)] != '/' || !strings.EqualFold(word[:len(id.text)], id.text) {
			continue
		}
		audience, name = word[:len(id.text)], word[len(id.text)+1:]
		if strings.HasPrefix(name, "/") {
			audience, name = audience+"/", name[1:]
		}
		return id.resource, audience, name
	}
	return nil, "", ""
}

// scope checks a permission's name; the answer uses the spelling the resource has for it.
func (r *Resource) scope(audience, name string) (scopeName, *oauthError) {
	s := scopeName{resource: r, audience: audience, name: name}
	switch {
	case strings.EqualFold(name, defaultScope):
		s.name = defaultScope
		return s, nil
	case name == "":
		return s, refuse("invalid_scope", 70011, audience)
	case len(r.Scopes) == 0:
		return s, nil
	}
	i := slices.IndexFunc(r.Scopes, func(known string) bool { return strings.EqualFold(known, name) })
	if i < 0 {
		return s, refuse("invalid_scope", 70011, audience+"/"+name)
	}
	s.name = r.Scopes[i]
	return s, nil
}

// resources counts the different APIs among the scopes.
func (s scopes) resources() int {
	apps := make(map[string]bool)
	for _, n := range s.names {
		apps[n.resource.AppID] = true
	}
	return len(apps)
}

// ofOneResource leaves the scopes of the first resource.
func (s scopes) ofOneResource() scopes {
	if s.resources() > 1 {
		first := s.names[0].resource.AppID
		s.names = slices.DeleteFunc(slices.Clone(s.names), func(n scopeName) bool { return n.resource.AppID != first })
	}
	return s
}

// permissions are the names a token for these scopes carries. There is one resource.
func (s scopes) permissions() []string {
	var all []string
	for _, n := range s.names {
		if n.name == defaultScope {
			all = append(all, n.resource.defaults()...)
		} else {
			all = append(all, n.name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// defaults are what .default gives.
func (r *Resource) defaults() []string {
	switch {
	case len(r.Scopes) > 0:
		return r.Scopes
	case r.ShortScopes:
		return []string{"User.Read"}
	}
	return []string{"user_impersonation"}
}

// granted is the scope member of an answer. Entra names Graph's permissions without the resource if they were asked for so,
// else with it: clients take a scope that they do not find there for one that was declined. It lists the OpenID Connect
// scopes for Graph alone, and never offline_access.
func (s scopes) granted(resource *Resource, permissions []string) string {
	var all []string
	prefix := resource.ID + "/"
	if !slices.ContainsFunc(s.names, func(n scopeName) bool { return !n.short }) {
		prefix = ""
	}
	if resource.ShortScopes {
		for _, r := range []struct {
			asked bool
			name  string
		}{{s.reserved.openid, "openid"}, {s.reserved.profile, "profile"}, {s.reserved.email, "email"}} {
			if r.asked {
				all = append(all, r.name)
			}
		}
	}
	for _, p := range permissions {
		all = append(all, prefix+p)
	}
	if slices.ContainsFunc(s.names, func(n scopeName) bool { return n.name == defaultScope }) {
		all = append(all, resource.ID+"/"+defaultScope)
	}
	return strings.Join(all, " ")
}
