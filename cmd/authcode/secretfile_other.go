//go:build !unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// openNoFollow opens a file that is not a symbolic link, as far as it can be told without O_NOFOLLOW: the name must not be
// a link, and what was opened must be what the name stood for.
func openNoFollow(path string) (*os.File, error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be opened: %w", reasonOf(err))
	}
	if named.Mode()&fs.ModeSymlink != 0 {
		return nil, errSymlink
	}
	if !named.Mode().IsRegular() {
		return nil, errors.New("is not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be opened: %w", reasonOf(err))
	}
	if opened, err := file.Stat(); err != nil || !os.SameFile(named, opened) {
		return nil, errors.Join(errors.New("was exchanged while it was opened"), file.Close())
	}
	return file, nil
}

// checkPrivate finds nothing: who may read a file is not in its mode here but in its access control list, which the
// user's profile directory gives to the user alone.
func checkPrivate(fs.FileInfo) error { return nil }
