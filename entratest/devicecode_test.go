package entratest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authcode-go/authcode/entratest"
)

// deviceAnswer is the device authorization endpoint's answer, good or bad.
type deviceAnswer struct {
	answer
	UserCode        string `json:"user_code"`
	DeviceCode      string `json:"device_code"`
	VerificationURI string `json:"verification_uri"`
	Interval        int    `json:"interval"`
	Message         string `json:"message"`
}

func (f *fixture) deviceCode(form url.Values) deviceAnswer {
	f.t.Helper()
	response, body := f.post(f.URL()+"/"+f.tenant+"/oauth2/v2.0/devicecode", form)
	a := deviceAnswer{answer: answer{Status: response.StatusCode}}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		f.t.Fatalf("%v in %s", err, body)
	}
	return a
}

func deviceRequest(pairs ...string) url.Values {
	return with(url.Values{"client_id": {native.ClientID}, "scope": {graph}}, pairs...)
}

// device asks for a code.
func (f *fixture) device() deviceAnswer {
	f.t.Helper()
	d := f.deviceCode(deviceRequest())
	if d.Status != 200 {
		f.t.Fatalf("device code: %d %s", d.Status, d.Description)
	}
	return d
}

func pollForm(d deviceAnswer, pairs ...string) url.Values {
	return with(url.Values{
		"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
		"client_id":   {native.ClientID},
		"device_code": {d.DeviceCode},
		"client_info": {"1"},
	}, pairs...)
}

func TestDeviceCode(t *testing.T) {
	f := start(t, nil).at("organizations")
	d := f.device()
	if !regexp.MustCompile(`^[A-Z2-9]{9}$`).MatchString(d.UserCode) || d.VerificationURI != f.URL()+"/devicelogin" ||
		d.ExpiresIn != 900 || d.Interval != 5 ||
		d.Message != "To sign in, use a web browser to open the page "+d.VerificationURI+" and enter the code "+d.UserCode+" to authenticate." {
		t.Errorf("%+v", d)
	}
	f.mustRefuse(pollForm(d), "authorization_pending", 70016)
	if err := f.ApproveDevice(t.Context(), " "+strings.ToLower(d.UserCode[:4])+"-"+d.UserCode[4:], alice); err != nil {
		t.Fatal(err)
	}
	tokens := f.mustToken(pollForm(d))
	id := claimsOf(t, tokens.IDToken)
	if id["preferred_username"] != alice || id["tid"] != contoso || id["nonce"] != nil || tokens.RefreshToken == "" || tokens.ClientInfo == "" {
		t.Errorf("%v %+v", id, tokens)
	}
	if claims := must(f.VerifyAccessToken(tokens.AccessToken)); claims["appid"] != native.ClientID || claims["sid"] != id["sid"] {
		t.Errorf("%v", claims)
	}
	f.mustToken(refreshForm(tokens.RefreshToken, "client_id", native.ClientID, "client_secret", ""))
	f.mustRefuse(pollForm(d), "invalid_grant", 54005)
	if err := f.ApproveDevice(t.Context(), d.UserCode, bob); err == nil || !strings.Contains(err.Error(), "That code didn't work") {
		t.Errorf("a code that was used: %v", err)
	}
}

func TestDeviceCodeRequestRefuses(t *testing.T) {
	f := start(t, nil)
	tests := []struct {
		name, tenant string
		form         url.Values
		code         string
		number       int
	}{
		{"no client", contoso, deviceRequest("client_id", ""), "invalid_request", 900144},
		{"no scope", contoso, deviceRequest("scope", ""), "invalid_request", 900144},
		{"unknown client", contoso, deviceRequest("client_id", contoso), "unauthorized_client", 700016},
		{"single tenant", "common", deviceRequest("client_id", directory.App("spa").ClientID), "invalid_request", 50194},
		{"no tenant", "nowhere", deviceRequest(), "invalid_request", 90002},
		{"no such scope", contoso, deviceRequest("scope", "api://orders/None"), "invalid_scope", 70011},
		{"two resources", contoso, deviceRequest("scope", storage+" "+arm), "invalid_scope", 28000},
		{"claims", contoso, deviceRequest("claims", "["), "invalid_request", 90023},
		{"twice", contoso, url.Values{"client_id": {"a", "b"}}, "invalid_request", 9000411},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkRefusal(t, f.in(t).at(test.tenant).deviceCode(test.form).answer, test.code, test.number)
		})
	}
	if response, _ := f.get(f.URL() + "/common/oauth2/v2.0/devicecode"); response.StatusCode != 405 {
		t.Errorf("GET: %d", response.StatusCode)
	}
}

func TestDeviceCodePollRefuses(t *testing.T) {
	f := start(t, nil)
	d := f.device()
	stranger := start(t, nil).device()
	tests := []struct {
		name   string
		form   url.Values
		code   string
		number int
	}{
		{"no code", pollForm(d, "device_code", ""), "invalid_request", 900144},
		{"nonsense", pollForm(d, "device_code", "x"), "bad_verification_code", 70018},
		{"another emulator's", pollForm(stranger), "bad_verification_code", 70018},
		{"a code of another kind", pollForm(d, "device_code", f.signIn(alice)), "bad_verification_code", 70018},
		{"confidential", pollForm(d, "client_id", web.ClientID), "invalid_client", 7000218},
		{"another client", pollForm(d, "client_id", web.ClientID, "client_secret", web.Secrets[0]), "invalid_grant", 70000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { f.in(t).mustRefuse(test.form, test.code, test.number) })
	}
	t.Run("single-page app", func(t *testing.T) {
		f := f.in(t)
		r := f.tokenRequest(pollForm(d, "client_id", directory.App("spa").ClientID))
		r.Header.Set("Origin", "http://localhost:3000")
		checkRefusal(t, f.sendToken(r), "invalid_client", 7000218)
	})
	t.Run("declined", func(t *testing.T) {
		f := f.in(t)
		d := f.device()
		if err := f.DeclineDevice(t.Context(), d.UserCode); err != nil {
			t.Fatal(err)
		}
		f.mustRefuse(pollForm(d), "authorization_declined", 65004)
		if err := f.ApproveDevice(t.Context(), d.UserCode, alice); err == nil {
			t.Error("approved after it was declined")
		}
	})
	t.Run("another tenant", func(t *testing.T) {
		f := f.in(t)
		d := f.at("common").device()
		if err := f.ApproveDevice(t.Context(), d.UserCode, carol); err != nil {
			t.Fatal(err)
		}
		f.mustRefuse(pollForm(d), "invalid_grant", 700005)
		f.at(fabrikam).mustToken(pollForm(d))
	})
	t.Run("revoked", func(t *testing.T) {
		f := f.in(t)
		d := f.device()
		if err := f.ApproveDevice(t.Context(), d.UserCode, bob); err != nil {
			t.Fatal(err)
		}
		if err := f.RevokeSessions(bob); err != nil {
			t.Fatal(err)
		}
		f.mustRefuse(pollForm(d), "invalid_grant", 50173)
	})
}

// The user proves what the device asks for; libraries say the grant type short, too.
func TestDeviceCodeClaims(t *testing.T) {
	f := start(t, nil)
	f.RequireClaims(alice, "", step)
	plain, proved := f.device(), f.deviceCode(deviceRequest("claims", both))
	for _, d := range []deviceAnswer{plain, proved} {
		if err := f.ApproveDevice(t.Context(), d.UserCode, alice); err != nil {
			t.Fatal(err)
		}
	}
	f.mustRefuse(pollForm(plain), "invalid_grant", 50076)
	tokens := f.mustToken(pollForm(proved, "claims", both, "grant_type", "device_code"))
	if claims := claimsOf(t, tokens.AccessToken); claims["xms_cc"] == nil || claims["acrs"] == nil {
		t.Errorf("%v", claims)
	}
}

// Who cannot sign in cannot approve, and the device goes on waiting.
func TestApproveDeviceRefuses(t *testing.T) {
	f := start(t, nil)
	d := f.device()
	for username, want := range map[string]string{
		"nobody@contoso.example":   "AADSTS50034",
		"disabled@contoso.example": "AADSTS50057",
		carol:                      "AADSTS50020",
		"":                         "has more to do",
	} {
		if err := f.ApproveDevice(t.Context(), d.UserCode, username); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", username, err, want)
		}
	}
	if err := f.ApproveDevice(t.Context(), "ABCDEFGHJ", alice); err == nil {
		t.Error("a code nobody has")
	}
	f.mustRefuse(pollForm(d), "authorization_pending", 70016)
	if err := f.ApproveDevice(t.Context(), d.UserCode, alice); err != nil {
		t.Fatal(err)
	}
	f.mustToken(pollForm(d))
}

// A client in a bubble polls at the interval until its user answers, or the code expires.
func TestDeviceCodeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, nil)
		d := f.device()
		go func() {
			time.Sleep(12 * time.Second)
			if err := f.ApproveDevice(t.Context(), d.UserCode, alice); err != nil {
				t.Error(err)
			}
		}()
		began, polls := time.Now(), 0
		for {
			time.Sleep(time.Duration(d.Interval) * time.Second)
			polls++
			if a := f.token(pollForm(d)); a.Status == 200 {
				break
			} else if a.Error != "authorization_pending" {
				t.Fatal(a.Description)
			}
		}
		if took := time.Since(began); took != 15*time.Second || polls != 3 {
			t.Errorf("%d polls, %v", polls, took)
		}
		late, approved := f.device(), f.device()
		if err := f.ApproveDevice(t.Context(), approved.UserCode, alice); err != nil {
			t.Fatal(err)
		}
		f.Advance(899 * time.Second)
		f.mustRefuse(pollForm(late), "authorization_pending", 70016)
		f.Advance(time.Second)
		f.mustRefuse(pollForm(late), "expired_token", 70020)
		f.mustRefuse(pollForm(approved), "expired_token", 70020)
		if err := f.ApproveDevice(t.Context(), late.UserCode, alice); err == nil {
			t.Error("an expired code was approved")
		}
	})
}

// Many polls at once get the tokens once, and many users' answers count once.
func TestDeviceCodeOnce(t *testing.T) {
	f := start(t, nil)
	d := f.device()
	var approved, issued atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if f.ApproveDevice(t.Context(), d.UserCode, alice) == nil {
				approved.Add(1)
			}
		})
		all.Go(func() {
			for {
				switch a := f.token(pollForm(d)); a.Error {
				case "authorization_pending":
					continue
				case "":
					issued.Add(1)
				}
				return
			}
		})
	}
	all.Wait()
	if approved.Load() != 1 || issued.Load() != 1 {
		t.Errorf("approved %d times, issued %d times", approved.Load(), issued.Load())
	}
}

func TestDeviceLoginPage(t *testing.T) {
	f := start(t, nil)
	d := f.device()
	page, body := f.get(d.VerificationURI)
	if page.StatusCode != 200 || !strings.Contains(body, `<label for="otc">`) || !strings.Contains(body, `name="otc"`) ||
		strings.Contains(body, "<script") || !strings.HasSuffix(strings.TrimSpace(body), "</html>") {
		t.Errorf("%d %s", page.StatusCode, body)
	}
	if page, body := f.get(d.VerificationURI + "?otc=%3Cb%3E"); page.StatusCode != 200 || !strings.Contains(body, `role="alert"`) || strings.Contains(body, "<b>") {
		t.Errorf("%d %s", page.StatusCode, body)
	}
	address := d.VerificationURI + "?otc=" + d.UserCode
	w := f.walker()
	if w.open().submit("emulator_user", alice); w.saw() != "code" {
		t.Fatal(w.saw())
	}
	// A session is no yes: following a link signs nobody's device in.
	if w.visit(address); w.status != 200 || !strings.Contains(w.page, "native") {
		t.Errorf("%d %s", w.status, w.page)
	}
	f.mustRefuse(pollForm(d), "authorization_pending", 70016)
	if w.session(alice); w.status != 200 || !strings.Contains(w.page, "You may now close this window") {
		t.Errorf("%d %s", w.status, w.page)
	}
	f.mustToken(pollForm(d))

	d = f.device()
	address = d.VerificationURI + "?otc=" + d.UserCode
	w = f.walker().visit(address).submit("loginfmt", alice).submit("passwd", "wrong")
	if w.status != 200 || !strings.Contains(w.page, "AADSTS50126") {
		t.Errorf("%d %s", w.status, w.page)
	}
	if w.submit("passwd", "password"); w.status != 200 || !strings.Contains(w.page, "You may now close this window") {
		t.Errorf("%d %s", w.status, w.page)
	}
	f.mustToken(pollForm(d))

	d = f.device()
	address = d.VerificationURI + "?otc=" + d.UserCode
	if w := f.walker().visit(address).submit("cancel", "1"); w.status != 200 || !strings.Contains(w.page, "You have declined") {
		t.Errorf("%d %s", w.status, w.page)
	}
	f.mustRefuse(pollForm(d), "authorization_declined", 65004)
	if page, _ := f.send(must(http.NewRequest(http.MethodPut, address, nil))); page.StatusCode != 405 {
		t.Errorf("PUT: %d", page.StatusCode)
	}
	if page, _ := f.get(d.VerificationURI + "?otc=%zz"); page.StatusCode != 400 {
		t.Errorf("unreadable: %d", page.StatusCode)
	}
	// The app may leave the directory while its device waits.
	orphan := f.device()
	small := entratest.DefaultDirectory()
	small.Apps = small.Apps[:1]
	if err := f.SetDirectory(small); err != nil {
		t.Fatal(err)
	}
	if err := f.ApproveDevice(t.Context(), orphan.UserCode, alice); err == nil || !strings.Contains(err.Error(), "AADSTS700016") {
		t.Error(err)
	}
}
