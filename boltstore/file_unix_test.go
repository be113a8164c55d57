//go:build unix && !solaris && !aix

package boltstore_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/authcode-go/authcode/boltstore"
)

const somebodyElse = 65534

func TestFilesThatOthersCouldReadOrReplace(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, path string) error
		root    bool // may prepare it
		says    string
	}{
		{"a file that the group reads", chmod(0o640), false, "chmod 600"},
		{"a file that all read", chmod(0o604), false, "chmod 600"},
		{"a file that the group writes", chmod(0o620), false, "chmod 600"},
		{"somebody else's file", func(_ *testing.T, path string) error { return os.Chown(path, somebodyElse, -1) }, true, "belongs to user 65534"},
		{"a symbolic link", func(_ *testing.T, path string) error {
			if err := os.Rename(path, path+".target"); err != nil {
				return err
			}
			return os.Symlink(path+".target", path)
		}, false, "symbolic link"},
		{"a symbolic link to nothing", func(_ *testing.T, path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink(path+".target", path)
		}, false, "symbolic link"},
		{"a pipe", func(_ *testing.T, path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return syscall.Mkfifo(path, 0o600)
		}, false, "no file"},
		{"a directory that all write to", func(_ *testing.T, path string) error { return os.Chmod(filepath.Dir(path), 0o777) }, false, "go-w"},
		{"a directory that the group writes to", func(_ *testing.T, path string) error { return os.Chmod(filepath.Dir(path), 0o770) }, false, "go-w"},
		{"somebody else's directory", func(_ *testing.T, path string) error { return os.Chown(filepath.Dir(path), somebodyElse, -1) }, true, "belongs to user 65534"},
		{"no directory", func(_ *testing.T, path string) error { return os.RemoveAll(filepath.Dir(path)) }, false, "no such file"},
		{"a directory in its place", func(_ *testing.T, path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		}, false, "is a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.root && os.Geteuid() != 0 {
				t.Skip("only root gives files away: run it as root")
			}
			directory := filepath.Join(t.TempDir(), "directory")
			if err := os.Mkdir(directory, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(directory, "authcode.db")
			if err := open(t, path).Close(); err != nil {
				t.Fatal(err)
			}
			if err := test.prepare(t, path); err != nil {
				t.Fatal(err)
			}
			store, err := boltstore.Open(path, nil)
			if err == nil {
				_ = store.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Open gives %v, want %q", err, test.says)
			}
			if _, err := os.Lstat(path + ".target"); test.name == "a symbolic link to nothing" && err == nil {
				t.Error("Open made the file that the link names")
			}
		})
	}
}

func TestADirectoryThatOnlyOwnersDeleteIn(t *testing.T) {
	path := newPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func chmod(mode os.FileMode) func(*testing.T, string) error {
	return func(_ *testing.T, path string) error { return os.Chmod(path, mode) }
}
