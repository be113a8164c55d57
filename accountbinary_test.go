package authcode_test

import (
	"encoding"
	"fmt"
	"reflect"
	"testing"

	"github.com/authcode-go/authcode"
)

var _ encoding.BinaryUnmarshaler = (*authcode.Account)(nil)

func TestAccountSurvivesItsBinaryForm(t *testing.T) {
	e := newEntra(t, nil)
	account, err := e.signIn(e.newApp(nil), bob).Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := account.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var again authcode.Account
	if err := again.UnmarshalBinary(data); err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := account.Claims(&want); err != nil {
		t.Fatal(err)
	}
	if err := again.Claims(&got); err != nil || !reflect.DeepEqual(got, want) || fmt.Sprint(again) != fmt.Sprint(account) {
		t.Errorf("%v %v, want %v %v (%v)", again, got, account, want, err)
	}
	for _, bad := range []string{"", "x", "{}", `{"id":1}`} {
		if err := again.UnmarshalBinary([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
