package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A document that names a test claims that it exists.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	declared := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, match := range function.FindAllSubmatch(source, -1) {
			declared[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z]\\w+)`")
	for _, document := range []string{"../docs/behaviours.md", "../SECURITY.md", "../docs/clients.md", "../CONTRIBUTING.md", "../README.md"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range named.FindAllSubmatch(text, -1) {
			if !declared[string(match[1])] {
				t.Errorf("%s names %s, which does not exist", document, match[1])
			}
		}
	}
}

// The programs in README are complete: each must compile as it stands.
func TestReadmeProgramsCompile(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile("(?s)```go\n(package main\n.*?)```").FindAllSubmatch(readme, -1)
	if len(programs) < 3 {
		t.Fatalf("found %d programs, want at least 3", len(programs))
	}
	for _, program := range programs {
		// Inside this module, so that its requirements are those the programs are compiled with.
		dir, err := os.MkdirTemp(".", "readme-program-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.WriteFile(filepath.Join(dir, "main.go"), program[1], 0o600); err != nil {
			t.Fatal(err)
		}
		if output, err := exec.Command("go", "vet", "./"+dir).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, output, program[1])
		}
	}
}
