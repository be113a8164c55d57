//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openNoFollow opens a file that is not a symbolic link. It does not wait for the writer of a named pipe.
func openNoFollow(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err == nil {
		return file, nil
	}
	if info, lstatErr := os.Lstat(path); lstatErr == nil && info.Mode()&fs.ModeSymlink != 0 {
		return nil, errSymlink // the systems do not agree on an error number for it
	}
	return nil, fmt.Errorf("cannot be opened: %w", reasonOf(err))
}

func checkPrivate(info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return errors.New("has no owner that can be told")
	case int(owner.Uid) != os.Geteuid():
		return fmt.Errorf("belongs to user %d, not to you (%d)", owner.Uid, os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("can be used by others (mode %04o): chmod 600 it, and consider the secret known", info.Mode().Perm())
	}
	return nil
}
