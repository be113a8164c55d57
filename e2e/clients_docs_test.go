package e2e

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// docs is docs/clients.md: its tables have what was observed, and a test for each row.
var docs = &document{path: "../docs/clients.md"}

type document struct {
	path string
	mu   sync.Mutex
}

// check compares a row of a table with what was observed; with -update it writes the row. A table begins behind the comment
// with its name, <!-- table NAME -->; a row is known by its first cell.
func (d *document) check(t *testing.T, name, client string, cells ...string) {
	t.Helper()
	observed := "| " + client + " | " + strings.Join(cells, " | ") + " |"
	d.mu.Lock()
	defer d.mu.Unlock()
	before, rows, after := d.table(t, name)
	at := rowOf(rows, client)
	switch {
	case at < 0:
		t.Errorf("table %s of %s has no row for %s", name, d.path, client)
	case rows[at] == observed:
	case !*update:
		t.Errorf("table %s of %s has the row\n%s\nbut this was observed (-update writes it):\n%s", name, d.path, rows[at], observed)
	default:
		rows[at] = observed
		text := before + strings.Join(rows, "\n") + after
		if err := os.WriteFile(d.path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// wantRows checks that a table has a row for each of the clients, and for no other.
func (d *document) wantRows(t *testing.T, name string, clients []string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	_, rows, _ := d.table(t, name)
	var there []string
	for _, row := range rows[2:] { // behind the head
		there = append(there, strings.TrimSpace(strings.Split(row, "|")[1]))
	}
	if !slices.Equal(there, clients) {
		t.Errorf("table %s of %s has rows for\n%q, want\n%q", name, d.path, there, clients)
	}
}

// table is a table's lines, and the text around it.
func (d *document) table(t *testing.T, name string) (before string, rows []string, after string) {
	t.Helper()
	text, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	mark := "<!-- table " + name + " -->\n"
	start := strings.Index(string(text), mark)
	if start < 0 {
		t.Fatalf("%s has no table %s", d.path, name)
	}
	start += len(mark)
	end := strings.Index(string(text[start:]), "\n\n")
	if end < 0 {
		end = len(text) - start - 1 // the table is the last of the document
	}
	end += start
	return string(text[:start]), strings.Split(string(text[start:end]), "\n"), string(text[end:])
}

func rowOf(rows []string, client string) int {
	return slices.IndexFunc(rows, func(row string) bool { return strings.HasPrefix(row, "| "+client+" |") })
}
