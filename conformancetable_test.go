package authcode_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what was observed into docs/conformance.md")

const conformanceDocument = "docs/conformance.md"

// conformanceRow is what became of a module: expected, and observed against each kind of server.
type conformanceRow struct {
	name, expected string
	own, entra     string // "": not against such a server
}

func (r conformanceRow) String() string {
	if r.entra == r.own {
		r.entra = "the same"
	}
	return "| " + strings.Join([]string{"`" + r.name + "`", r.expected, orDash(r.own), orDash(r.entra)}, " | ") + " |"
}

func orDash(cell string) string {
	if cell == "" {
		return "–"
	}
	return cell
}

// expected is the outcome that a module wants, in the document's words.
func (m conformanceModule) expected() string {
	switch {
	case m.later != "":
		return "signed in; refresh refused: " + m.later
	case m.fails == nil:
		return "signed in"
	case m.unsent:
		return "refused: " + m.fails[0] + "; code not sent"
	}
	return "refused: " + m.fails[0]
}

var (
	numberedForge = regexp.MustCompile(`forge-\d+\.example`)
	timeOfRun     = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:]+Z`)
)

// conformanceError is an error's text without what differs from run to run.
func conformanceError(err error) string {
	text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "authcode: "), "\n")
	text = timeOfRun.ReplaceAllString(numberedForge.ReplaceAllString(text, "forge.example"), "TIME")
	return strings.NewReplacer("|", `\|`, "<", `\<`).Replace(text)
}

// observed is what a client did, in the document's words.
func (f *forge) observed(err error) string {
	tokens := f.count("token")
	switch {
	case err == nil:
		return fmt.Sprintf("signed in; token requests: %d, for keys: %d", tokens, f.count("keys"))
	case tokens == 0:
		return conformanceError(err) + "; code not sent"
	}
	return conformanceError(err)
}

// wantDocumented compares a plan's rows with its table in the document; -update writes them there.
func wantDocumented(t *testing.T, plan string, rows []conformanceRow) {
	t.Helper()
	content, err := os.ReadFile(conformanceDocument)
	if err != nil {
		t.Fatal(err)
	}
	mark := "<!-- table " + plan + " -->\n"
	before, rest, found := strings.Cut(string(content), mark)
	if !found {
		t.Fatalf("%s has no table %s", conformanceDocument, plan)
	}
	documented, after, _ := strings.Cut(rest, "\n\n")
	observed := "| module | expected | own endpoints | laid out as Entra |\n|---|---|---|---|"
	for _, row := range rows {
		observed += "\n" + row.String()
	}
	switch {
	case strings.TrimRight(documented, "\n") == observed:
	case !*update:
		t.Errorf("the table %s of %s is\n%s\nbut this was observed (-update writes it):\n%s", plan, conformanceDocument, documented, observed)
	default:
		if err := os.WriteFile(conformanceDocument, []byte(before+mark+observed+"\n\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
