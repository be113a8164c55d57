package entratest

import (
	"strconv"
	"testing"
	"time"
)

func TestExpiringSetForgets(t *testing.T) {
	x, now := newExpiringSet(), time.Now()
	for i := range 100_000 {
		if !x.add(strconv.Itoa(i), now.Add(time.Minute), now) {
			t.Fatalf("%d was there", i)
		}
		now = now.Add(100 * time.Millisecond) // 600 alive at a time
	}
	if len(x.until) > 2048 {
		t.Errorf("%d are remembered", len(x.until))
	}
	if x.add("99999", now.Add(time.Minute), now) {
		t.Error("one that is alive was forgotten")
	}
	if !x.add("1", now.Add(time.Minute), now) {
		t.Error("an expired one is still there")
	}
}

func TestFamiliesForget(t *testing.T) {
	var table familyTable
	table.reset(RotationRefuse)
	now := time.Now()
	for i := range 20_000 {
		table.check(strconv.Itoa(i), 0, true, now)
		now = now.Add(refreshTokenIdle / 500) // 500 alive at a time
	}
	if len(table.families) > 2048 {
		t.Errorf("%d are remembered", len(table.families))
	}
	if table.check("19999", 0, true, now) {
		t.Error("one that is alive was forgotten")
	}
	table.reset(RotationKeep)
	for range 2 {
		if !table.check("19999", 0, true, now) {
			t.Error("without rotation nothing is refused")
		}
	}
	if len(table.families) > 0 {
		t.Error("without rotation families are remembered")
	}
}

// Devices that nobody answers leave when they have expired, and at no time do too many wait.
func TestDevicesForget(t *testing.T) {
	table, now := deviceTable{}, time.Now()
	add := func(i int) *oauthError {
		return table.add(&deviceFlow{userCode: strconv.Itoa(i), expires: now.Add(deviceCodeLifetime)}, now)
	}
	for i := range 50_000 {
		if refusal := add(i); refusal != nil {
			t.Fatalf("%d: %v", i, refusal.message())
		}
		now = now.Add(deviceCodeLifetime / 500) // 500 alive at a time
	}
	if len(table.flows) > 2048 {
		t.Errorf("%d are remembered", len(table.flows))
	}
	if _, ok := table.waiting("49999", now); !ok {
		t.Error("one that is alive was forgotten")
	}
	refused := 0
	for i := range 2 * maxDeviceFlows {
		if refusal := add(100_000 + i); refusal != nil {
			refused++
			if refusal.httpStatus() != 429 {
				t.Fatalf("%d %s", refusal.httpStatus(), refusal.message())
			}
		}
	}
	if len(table.flows) != maxDeviceFlows || refused < maxDeviceFlows {
		t.Errorf("%d wait, %d were refused", len(table.flows), refused)
	}
	now = now.Add(deviceCodeLifetime)
	if refusal := add(1); refusal != nil || len(table.flows) != 1 {
		t.Errorf("%d wait after all have expired", len(table.flows))
	}
}

// A value of one kind, or one somebody changed, is not taken for another.
func TestSealed(t *testing.T) {
	e, err := NewHandler(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := e.seal(sealedCode, "x")
	var got string
	if !e.unseal(sealedCode, sealed, &got) || got != "x" {
		t.Error("does not open")
	}
	other, err := NewHandler(nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.unseal(sealedRefresh, sealed, &got) || other.unseal(sealedCode, sealed, &got) {
		t.Error("opens where it should not")
	}
	for i := range len(sealed) {
		changed := []byte(sealed)
		changed[i] ^= 1
		if e.unseal(sealedCode, string(changed), &got) {
			t.Errorf("byte %d does not matter", i)
		}
	}
	for _, s := range []string{"", "1", "1.", "1.!", sealed + "=", sealed[1:]} {
		if e.unseal(sealedCode, s, &got) {
			t.Errorf("%q opens", s)
		}
	}
}
