package main

import (
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/authcode-go/authcode"
)

const (
	outputText = "text"
	outputJSON = "json"
)

// redeemed is what a code was worth.
type redeemed struct {
	token   azcore.AccessToken
	account *authcode.Account // nil: the server did not say
}

type tokenDocument struct {
	AccessToken string           `json:"access_token"`
	ExpiresOn   int64            `json:"expires_on"`
	TokenType   string           `json:"token_type"`
	Account     *accountDocument `json:"account"`
}

type accountDocument struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	ObjectID string `json:"object_id,omitempty"`
	TenantID string `json:"tenant_id,omitempty"`
	Username string `json:"username,omitempty"`
}

func (r redeemed) print(s streams, output string) error {
	if output == outputJSON {
		return writeJSON(s.out, r.document())
	}
	if isTerminal(s.err) {
		fmt.Fprintln(s.err, r.describe())
	}
	_, err := fmt.Fprintln(s.out, r.token.Token)
	return err
}

func (r redeemed) document() tokenDocument {
	d := tokenDocument{AccessToken: r.token.Token, ExpiresOn: r.token.ExpiresOn.Unix(), TokenType: "Bearer"}
	if a := r.account; a != nil {
		d.Account = &accountDocument{ID: a.ID, Name: a.Name, ObjectID: a.ObjectID, TenantID: a.TenantID, Username: a.Username}
	}
	return d
}

func (r redeemed) describe() string {
	text := fmt.Sprintf("Access token, good until %s", r.token.ExpiresOn.Local().Format(time.DateTime))
	if a := r.account; a != nil {
		text += fmt.Sprintf(", for %s (%s) of tenant %s", a.Username, a.Name, a.TenantID)
	}
	return oneLine(text) + "."
}
