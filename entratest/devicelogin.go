package entratest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// deviceLoginPath is the page where a user enters the code of a device, as https://microsoft.com/devicelogin.
const deviceLoginPath = "/devicelogin"

const (
	wrongUserCode = "That code didn't work. Check the code and try again."
	deviceDone    = "You may now close this window."
)

// deviceLogin takes the code of a device, as the parameter otc, and then signs the user in for the device just as
// authorize does for an app: with its page, or by emulator_user without one.
func (e *Emulator) deviceLogin(x *exchange) *reply {
	if m := x.request.Method; m != http.MethodGet && m != http.MethodPost {
		r := e.errorPage(x, http.StatusMethodNotAllowed, refuse("invalid_request", 900561, "GET, POST", m))
		r.set("Allow", "GET, POST")
		return r
	}
	if x.unreadable != nil {
		return e.errorPage(x, x.unreadable.httpStatus(), x.unreadable)
	}
	typed := x.query.Get("otc")
	if typed == "" {
		return e.deviceCodePage(x, "", "")
	}
	flow, ok := e.devices.waiting(readUserCode(typed), x.now)
	if !ok {
		r := e.deviceCodePage(x, typed, wrongUserCode)
		r.err = refuse("bad_verification_code", 70018)
		return r
	}
	a, refusal := e.deviceRequest(x, flow)
	if refusal != nil {
		return e.errorPage(x, refusal.httpStatus(), refusal)
	}
	return e.signInTo(x, a)
}

func (e *Emulator) deviceCodePage(x *exchange, code, alert string) *reply {
	return e.page(x, http.StatusOK, "devicelogin", map[string]any{"Title": "Enter code", "Code": code, "Alert": alert})
}

// deviceRequest is what a device asks of its user, as an app would at authorize. A session is not enough: the user has
// to pick an account, so that nobody signs in a stranger's device by following a link.
func (e *Emulator) deviceRequest(x *exchange, flow deviceFlow) (*authorizeRequest, *oauthError) {
	where, known := x.directory.authority(flow.alias)
	if !known {
		return nil, refuse("invalid_request", 90002, flow.alias)
	}
	app := x.directory.app(flow.clientID)
	if refusal := where.admits(app, flow.clientID); refusal != nil {
		return nil, refusal
	}
	asked, refusal := x.directory.parseScopes(flow.scopes)
	if refusal != nil {
		return nil, refusal
	}
	claims, refusal := parseClaims(flow.claims)
	return &authorizeRequest{
		app: app, authority: where, scopes: asked, claimsText: flow.claims, claims: claims,
		prompts: []string{"select_account"}, userCode: flow.userCode,
	}, refusal
}

// deliverDevice ends the sign-in for a device: what an app would get at its redirect URI, the device gets at its next
// poll, and the user sees a page.
func (e *Emulator) deliverDevice(x *exchange, a *authorizeRequest, parameters url.Values) *reply {
	title := "You have signed in to " + a.app.Name + " on your device."
	var g *grant
	var code authorizationCode
	switch {
	case e.unseal(sealedCode, parameters.Get("code"), &code):
		g = &code.Grant
	case parameters.Get("error") == "access_denied":
		title = "You have declined to sign in to " + a.app.Name + "."
	default: // the device goes on waiting: the user may try again
		return e.page(x, http.StatusBadRequest, "message", map[string]any{
			"Title": "Sorry, but we’re having trouble signing you in.",
			"Text":  parameters.Get("error_description"),
			"Error": true,
		})
	}
	if !e.devices.settle(a.userCode, g, x.now) {
		return e.deviceCodePage(x, a.userCode, wrongUserCode)
	}
	return e.page(x, http.StatusOK, "message", map[string]any{"Title": title, "Text": deviceDone})
}

// ApproveDevice is the user of a device without a browser: it opens the page of the device code flow, enters the user
// code, and signs in, so that the device's next poll is answered with tokens. Where the user would see an error
// instead, because the code is not known, has expired or was used, or the user may not sign in, its text is the error.
// Safe for concurrent use: of several answers to one code the first counts.
func (e *Emulator) ApproveDevice(ctx context.Context, userCode, username string) error {
	query := url.Values{"otc": {userCode}, "emulator_user": {username}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.origin+deviceLoginPath+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("entratest: device login: %w", err)
	}
	response, err := e.Transport().RoundTrip(request)
	if err != nil {
		return fmt.Errorf("entratest: device login: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("entratest: device login: %w", err)
	}
	page := string(body)
	switch {
	case response.StatusCode == http.StatusOK && strings.Contains(page, deviceDone):
		return nil
	case response.StatusCode == http.StatusOK && !alertPattern.MatchString(page):
		return errors.New("entratest: device login: the user has more to do: open " + e.origin + deviceLoginPath + " in a browser")
	}
	return errors.New("entratest: device login: " + pageText(page, response.Status))
}

// DeclineDevice is the user who cancels instead: the device's next poll is answered with authorization_declined. A code that is
// not known, has expired or was answered is an error.
func (e *Emulator) DeclineDevice(ctx context.Context, userCode string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !e.devices.settle(readUserCode(userCode), nil, e.Now()) {
		return errors.New("entratest: device login: the code is not known, has expired or was answered: ask the device for a new one")
	}
	return nil
}
