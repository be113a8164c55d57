package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/authcode-go/authcode/entratest"
)

func brokenSteps() []step {
	return []step{
		{"first", "Something that holds", 0, func(context.Context, *journey) ([]detail, error) {
			return []detail{{label: "seen", value: "it"}}, nil
		}},
		{"second", "Something that does not", 0, func(context.Context, *journey) ([]detail, error) {
			return []detail{{label: "seen", value: "something"}}, expect("the answer", 42, 41)
		}},
		{"third", "Something after that", 0, func(context.Context, *journey) ([]detail, error) {
			panic("a step after one that failed was taken")
		}},
	}
}

func TestDemoShowsAStepThatFails(t *testing.T) {
	var out bytes.Buffer
	err := demo(t.Context(), brokenSteps(), &textPrinter{out: &out, width: widest})
	if err == nil || err.Error() != "step 2 (second) did not hold" {
		t.Errorf("error is %v", err)
	}
	for _, want := range []string{
		" 1 ✓ Something that holds", " 2 ✗ Something that does not", "expected     the answer: 42", "seen         41",
		" 3 - Something after that", "not taken", "Step 2 of 3 did not hold.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestDemoTellsProgramsOfAStepThatFails(t *testing.T) {
	var out bytes.Buffer
	if err := demo(t.Context(), brokenSteps(), &jsonPrinter{out: &out}); err == nil {
		t.Error("no error")
	}
	var document demoDocument
	if err := json.Unmarshal(out.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if document.OK || len(document.Steps) != 3 || !document.Steps[0].OK {
		t.Fatalf("document is %+v", document)
	}
	if s := document.Steps[1]; s.OK || s.Error != "the answer" || s.Expected != "42" || s.Seen != "41" {
		t.Errorf("second step is %+v", s)
	}
	if s := document.Steps[2]; s.OK || !s.Skipped {
		t.Errorf("third step is %+v", s)
	}
}

// A server that goes wrong must not pass for one that does not: each of these faults breaks the step it is made for.
func TestDemoStepsNoticeFaults(t *testing.T) {
	for name, test := range map[string]struct {
		before string // the step before which the fault is made
		fault  entratest.Fault
		breaks string
	}{
		"the code is refused":          {"redeem", entratest.Fault{Error: "invalid_grant", AADSTS: 70008}, "redeem"},
		"there is no ID token":         {"redeem", entratest.Fault{Edit: func(a map[string]any) { delete(a, "id_token") }}, "redeem"},
		"there is no refresh token":    {"redeem", entratest.Fault{Edit: func(a map[string]any) { delete(a, "refresh_token") }}, "resource"},
		"the refresh is tried twice":   {"expiry", entratest.Fault{Status: 500, Times: 1}, "expiry"},
		"the spent code is taken":      {"spent-code", entratest.Fault{Error: "invalid_grant", AADSTS: 70008}, "spent-code"},
		"nothing comes of a challenge": {"claims", entratest.Fault{Error: "invalid_grant", AADSTS: 50076}, "claims"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			steps := demoSteps()
			for i := range steps {
				if steps[i].name == test.before {
					take := steps[i].take
					steps[i].take = func(ctx context.Context, j *journey) ([]detail, error) {
						j.emulator.Inject(test.fault)
						return take(ctx, j)
					}
				}
			}
			var out bytes.Buffer
			err := demo(t.Context(), steps, &textPrinter{out: &out, width: widest})
			if err == nil || !strings.Contains(err.Error(), "("+test.breaks+")") {
				t.Errorf("error is %v, want one of step %s\n%s", err, test.breaks, &out)
			}
		})
	}
}

func TestDemoStopsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupt")
	steps := []step{{"only", "The only one", 0, func(context.Context, *journey) ([]detail, error) {
		cancel(why)
		return nil, nil
	}}}
	var out bytes.Buffer
	if err := demo(ctx, steps, &textPrinter{out: &out, width: widest}); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}

func TestDemoTextFitsItsWidth(t *testing.T) {
	for _, width := range []int{narrowest, 80, widest} {
		var out bytes.Buffer
		p := &textPrinter{out: &out, width: width}
		p.print(outcome{
			step: step{title: "A step"}, number: 7, posts: 2, duration: 1234 * time.Millisecond,
			details: []detail{
				{label: "short", value: "a value", note: "and a note"},
				{label: "long", value: strings.Repeat("many words ", 30), note: "and a note of ten more words that may not fit"},
			},
		})
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("width %d: a line of %d: %q", width, n, line)
			}
		}
	}
}

func TestDemoColoursAreOnlyColours(t *testing.T) {
	show := func(p palette) string {
		var out bytes.Buffer
		text := &textPrinter{out: &out, width: widest, palette: p}
		text.print(outcome{step: step{title: "A step"}, number: 1, details: []detail{{label: "a", value: "b", note: "c"}}})
		text.print(outcome{step: step{title: "Another"}, number: 2, err: errors.New("no")})
		if err := text.finish(summary{steps: 2}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	plain, coloured := show(palette{}), show(palette{on: true})
	if strings.Contains(plain, "\x1b") {
		t.Errorf("plain text has escape sequences: %q", plain)
	}
	var stripped strings.Builder
	for i, part := range strings.Split(coloured, "\x1b[") {
		if i > 0 {
			_, part, _ = strings.Cut(part, "m")
		}
		stripped.WriteString(part)
	}
	if !strings.Contains(coloured, "\x1b[32m✓") || stripped.String() != plain {
		t.Errorf("with colours: %q\nwithout: %q", coloured, plain)
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestDemoSaysWhenItCannotWrite(t *testing.T) {
	for name, out := range map[string]printer{"text": &textPrinter{out: fullDisk{}, width: widest}, "json": &jsonPrinter{out: fullDisk{}}} {
		if err := demo(t.Context(), nil, out); !errors.Is(err, errFull) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
