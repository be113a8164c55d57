package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The command cannot import the examples, which are never tagged, and an example that imported the command's packages could not be
// copied. So the demo has a copy of the example's pages, and this test keeps it one.
func TestTheDemoServesTheExample(t *testing.T) {
	const example, copied = "../examples/webapp/site", "../cmd/authcode/internal/site"
	differences := 0
	for _, pair := range [][2]string{{example, copied}, {copied, example}} {
		err := filepath.WalkDir(pair[0], func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name, err := filepath.Rel(pair[0], path)
			if err != nil {
				return err
			}
			here, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if there, err := os.ReadFile(filepath.Join(pair[1], name)); err != nil || !bytes.Equal(here, there) {
				differences++
				t.Errorf("%s differs", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if differences > 0 {
		t.Error("make them equal: rm -r cmd/authcode/internal/site && cp -r examples/webapp/site cmd/authcode/internal/site")
	}
}
