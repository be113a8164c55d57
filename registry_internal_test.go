package authcode

import (
	"strconv"
	"testing"
)

// TestAccountsThatCannotBeWrittenStay: beyond the limit, too, while the store is down; afterwards memory comes back to it.
func TestAccountsThatCannotBeWrittenStay(t *testing.T) {
	const limit = 40
	app := &App{store: NewMemoryStore()}
	app.registry.limit = limit
	adopt := func(i int, u *unsaved) *AuthorizationCodeCredential {
		c, err := app.registry.adopt(app, strconv.Itoa(i), func(c *AuthorizationCodeCredential) error {
			c.grant.unsaved = u
			c.grant.publish(&snapshot{holding: &holding{renewed: processStart}}, processStart)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var held []*AuthorizationCodeCredential
	for i := range 100 {
		held = append(held, adopt(i, &unsaved{}))
	}
	if n := len(app.registry.known); n != 100 {
		t.Errorf("%d of 100 grants that cannot be written are in memory", n)
	}
	for _, c := range held {
		c.grant.unsaved = nil
	}
	for i := range 60 {
		adopt(100+i, nil)
	}
	if n := len(app.registry.known); n != limit {
		t.Errorf("%d accounts in memory, want %d", n, limit)
	}
}
