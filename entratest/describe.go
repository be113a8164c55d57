package entratest

import (
	"regexp"
	"strings"
)

// knownPermissions are what the scopes people meet most mean, in plain words.
var knownPermissions = map[string]string{
	"openid":              "Sign you in",
	"profile":             "See your name and username",
	"email":               "See your email address",
	"offline_access":      "Keep access while you are away",
	"user.read":           "Read your profile",
	"user.readwrite":      "Read and change your profile",
	"user.readbasic.all":  "Read the basic profiles of all users",
	"user.read.all":       "Read the full profiles of all users",
	"mail.read":           "Read your mail",
	"mail.readwrite":      "Read, change and delete your mail",
	"mail.send":           "Send mail as you",
	"calendars.read":      "Read your calendars",
	"calendars.readwrite": "Read and change your calendars",
	"files.read":          "Read your files",
	"files.readwrite":     "Read, change and delete your files",
	"group.read.all":      "Read all groups",
	"user_impersonation":  "Act as you",
}

// permissionPattern is how most APIs name their scopes: Noun.Verb, perhaps with .All.
var permissionPattern = regexp.MustCompile(`(?i)^([a-z]+)\.(read|write|readwrite|admin|manage)(\.all)?$`)

// verbs say what the second part of a scope's name allows.
var verbs = map[string]string{
	"read":      "Read",
	"write":     "Change",
	"readwrite": "Read and change",
	"admin":     "Administer",
	"manage":    "Manage",
}

// words say in plain English what a permission allows.
func (p permission) words() string {
	if known := knownPermissions[strings.ToLower(p.name)]; known != "" {
		return known
	}
	if m := permissionPattern.FindStringSubmatch(p.name); m != nil {
		what := " your "
		if m[3] != "" || strings.EqualFold(m[2], "admin") || strings.EqualFold(m[2], "manage") {
			what = " all "
		}
		return verbs[strings.ToLower(m[2])] + what + strings.ToLower(m[1])
	}
	return "Use " + p.name + " as you"
}

// id is the scope itself, as a developer knows it.
func (p permission) id() string {
	if p.resource == nil {
		return p.name
	}
	return strings.TrimSuffix(p.resource.ID, "/") + "/" + p.name
}

// traits tell what happens when a user of the directory signs in.
func (u *User) traits(state userState, tenantID string) []string {
	var all []string
	add := func(is bool, what string) {
		if is {
			all = append(all, what)
		}
	}
	add(u.Admin, "administrator")
	add(!strings.EqualFold(u.TenantID, tenantID), "guest")
	add(u.MFARequired, "second factor")
	add(state.passwordExpired(u), "password expired")
	add(u.SignInFrequency > 0, "signs in every "+strings.TrimSuffix(strings.TrimSuffix(u.SignInFrequency.String(), "0s"), "0m"))
	add(u.Blocked, "blocked by policy")
	add(state.disabled, "disabled")
	return all
}

// initials stand where other pages have a portrait.
func (u *User) initials() string {
	var all []rune
	for _, word := range strings.Fields(u.Name) {
		all = append(all, []rune(word)[0])
	}
	if len(all) > 2 {
		all = []rune{all[0], all[len(all)-1]}
	}
	if len(all) == 0 {
		for _, r := range u.Username {
			all = append(all, r)
			break
		}
	}
	return strings.ToUpper(string(all))
}

// remedies are what to do about an error a person sees, in one sentence.
var remedies = map[int]string{
	50011:   "Add the redirect URI to the app's RedirectURIs, letter for letter.",
	50020:   "Use another account, or make this one a guest of the tenant.",
	50034:   "Use one of the directory's users.",
	50055:   "Sign in on the page, which asks for a new password.",
	50057:   "An administrator can enable the account again.",
	50089:   "The page was open for too long. Start again.",
	50105:   "An administrator can assign the user to the app.",
	53003:   "Only an administrator can change the policy. Signing in again does not help.",
	90002:   "Check the first part of the address: a tenant's ID or domain, common, organizations or consumers.",
	90094:   "An administrator has to grant these permissions.",
	165000:  "Go back to the app, or start this sign-in again.",
	700016:  "Check client_id, and the tenant in the address.",
	900971:  "Send redirect_uri, one that the app has registered.",
	7000112: "An administrator can enable the app again.",
}
