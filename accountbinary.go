package authcode

import (
	"encoding/json"
	"errors"
	"fmt"
)

// accountBinary is an account with the claims that no other form of it shows.
type accountBinary struct {
	ID       string          `json:"id"`
	Name     string          `json:"name,omitempty"`
	ObjectID string          `json:"oid,omitempty"`
	TenantID string          `json:"tid,omitempty"`
	Username string          `json:"username,omitempty"`
	Claims   json.RawMessage `json:"claims,omitempty"`
}

// MarshalBinary gives the whole account, its ID token's claims among it, for packages that keep sessions. Seal it before it is
// stored: claims may hold what others should not read.
func (a Account) MarshalBinary() ([]byte, error) {
	return json.Marshal(accountBinary{ID: a.ID, Name: a.Name, ObjectID: a.ObjectID, TenantID: a.TenantID, Username: a.Username, Claims: a.claims})
}

// UnmarshalBinary reads what MarshalBinary gave. An error means that it is something else.
func (a *Account) UnmarshalBinary(data []byte) error {
	var b accountBinary
	if err := json.Unmarshal(data, &b); err != nil {
		return fmt.Errorf("authcode: the account cannot be read: %w", err)
	}
	if b.ID == "" {
		return errors.New("authcode: the account cannot be read: it has no ID")
	}
	*a = Account{ID: b.ID, Name: b.Name, ObjectID: b.ObjectID, TenantID: b.TenantID, Username: b.Username, claims: b.Claims}
	return nil
}
