package entratest

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// consoleDone are what the console says after an action; their names travel in the redirect that follows it.
var consoleDone = map[string]string{
	"fault":       "The fault is on.",
	"stop-fault":  "The fault is off.",
	"stop-faults": "All faults are off.",
	"rotate-keys": "There is a new signing key.",
	"revoke":      "The user’s sessions are revoked.",
	"disable":     "The account is disabled.",
	"enable":      "The account is enabled.",
	"advance":     "The clock was moved.",
	"clear-log":   "The log is empty.",
	"rotation":    "The rotation of refresh tokens was changed.",
}

// faultKind is a fault the console offers.
type faultKind struct {
	Name, About string
	fault       func(seconds int) Fault
}

var faultKinds = []faultKind{
	{"down", "503 with Retry-After", func(seconds int) Fault {
		return Fault{Status: http.StatusServiceUnavailable, RetryAfter: strconv.Itoa(seconds)}
	}},
	{"throttled", "429 with Retry-After", func(seconds int) Fault {
		return Fault{Status: http.StatusTooManyRequests, RetryAfter: strconv.Itoa(seconds)}
	}},
	{"slow", "answers late", func(seconds int) Fault {
		return Fault{Latency: time.Duration(seconds) * time.Second}
	}},
	{"lost", "does its work, and loses the answer", func(int) Fault { return Fault{LoseAnswer: true} }},
	{"malformed", "answers half a JSON document", func(int) Fault {
		return Fault{Body: `{"token_type":"Bearer","access_token":`, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}}
	}},
	{"expired", "invalid_grant, AADSTS700082: signed in too long ago", func(int) Fault {
		return Fault{Error: "invalid_grant", AADSTS: 700082}
	}},
	{"interaction", "interaction_required, AADSTS50076: second factor", func(int) Fault {
		return Fault{Error: "interaction_required", AADSTS: 50076}
	}},
}

// faultEndpoints are where a fault of the console can be, the usual one first.
var faultEndpoints = []string{
	endpointToken, endpointAuthorize, endpointKeys, endpointDiscovery, endpointInstance, endpointDeviceCode, endpointDeviceLogin,
	endpointUserInfo, endpointLogout, "*",
}

// activeFault is a fault that waits for requests.
type activeFault struct {
	ID       uint64
	What     string
	Endpoint string
	Left     int // requests; negative: no limit
}

func (l *faultList) active() []activeFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []activeFault
	for _, i := range l.faults {
		a := activeFault{ID: i.id, What: i.Fault.name(), Endpoint: i.Endpoint, Left: i.left}
		switch a.Endpoint {
		case "":
			a.Endpoint = endpointToken
		case "*":
			a.Endpoint = "all endpoints"
		}
		all = append(all, a)
	}
	return all
}

// stop removes the faults that match; it reports whether there were any.
func (l *faultList) stop(match func(*injected) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.faults)
	l.faults = slices.DeleteFunc(l.faults, match)
	return len(l.faults) < before
}

// consolePosted does what a form of the console asks for, if the form was the console's.
func (e *Emulator) consolePosted(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxConsoleBody)
	if err := r.ParseForm(); err != nil {
		e.sendConsole(w, r, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	token := []byte(r.PostForm.Get("token"))
	if e.console.origin.Check(r) != nil || subtle.ConstantTimeCompare(token, []byte(e.console.token)) == 0 {
		e.sendConsole(w, r, http.StatusForbidden, "This form did not come from this console, or from before the emulator was started again: nothing was done. Try again here.")
		return
	}
	action := r.PostForm.Get("action")
	if alert := e.consoleAction(action, r.PostForm); alert != "" {
		e.sendConsole(w, r, http.StatusBadRequest, alert)
		return
	}
	http.Redirect(w, r, consolePath+"?"+url.Values{"done": {action}}.Encode()+"#done", http.StatusSeeOther)
}

// consoleAction does it, or says why not.
func (e *Emulator) consoleAction(action string, form url.Values) (alert string) {
	switch action {
	case "fault":
		return e.injectFrom(form)
	case "stop-fault":
		id := form.Get("id")
		if !e.faults.stop(func(i *injected) bool { return strconv.FormatUint(i.id, 10) == id }) {
			return "That fault was off already."
		}
	case "stop-faults":
		e.faults.stop(func(*injected) bool { return true })
	case "rotate-keys":
		e.RotateKeys()
	case "revoke":
		return forPeople(e.RevokeSessions(form.Get("user")))
	case "disable", "enable":
		return forPeople(e.SetDisabled(form.Get("user"), action == "disable"))
	case "advance":
		return e.advanceBy(form)
	case "clear-log":
		e.ResetRequests()
	case "rotation":
		mode, alert := number(form, "rotation", 0, int(RotationRevokeFamily))
		if alert != "" {
			return alert
		}
		e.families.reset(Rotation(mode))
	default:
		return "The console has no such action."
	}
	return ""
}

func forPeople(err error) string {
	if err != nil {
		return "There is no such user."
	}
	return ""
}

func (e *Emulator) injectFrom(form url.Values) (alert string) {
	i := slices.IndexFunc(faultKinds, func(k faultKind) bool { return k.Name == form.Get("fault") })
	endpoint := form.Get("endpoint")
	if i < 0 || !slices.Contains(faultEndpoints, endpoint) {
		return "The console has no such fault."
	}
	seconds, alert := number(form, "seconds", 0, 3600)
	if alert != "" {
		return alert
	}
	times, alert := number(form, "times", 0, 1_000_000)
	if alert != "" {
		return alert
	}
	f := faultKinds[i].fault(seconds)
	f.Endpoint, f.Times = endpoint, times
	e.Inject(f)
	return ""
}

// advanceBy moves the clock by up to a year at a time, and by a century in all: dates stay dates.
func (e *Emulator) advanceBy(form url.Values) (alert string) {
	unit, ok := map[string]time.Duration{"minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour}[form.Get("unit")]
	if !ok {
		return "The clock moves by minutes, hours or days."
	}
	amount, alert := number(form, "amount", 1, 366)
	if alert != "" {
		return alert
	}
	if e.offset.Load() > int64(100*366*24*time.Hour) {
		return "The clock is a century ahead: start the emulator again."
	}
	e.Advance(time.Duration(amount) * unit)
	return ""
}

// number reads a field; an empty one is zero.
func number(form url.Values, name string, least, most int) (n int, alert string) {
	text := form.Get(name)
	if text == "" {
		text = "0"
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Sprintf("The field %s takes a whole number from %d to %d.", name, least, most)
	}
	return n, ""
}
