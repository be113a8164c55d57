//go:build unix && !solaris && !aix

package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	forOthers      = 0o077
	writableByThem = 0o022
)

// checkDirectory refuses one in which somebody else could put another file in the file's place.
func checkDirectory(path string) error {
	directory := filepath.Dir(path)
	info, err := os.Stat(directory)
	if err != nil {
		return err
	}
	if owner := ownerOf(info); owner != os.Geteuid() && owner != 0 {
		return fmt.Errorf("the directory %s belongs to user %d, who could replace the file: use one of your own", directory, owner)
	}
	if info.Mode().Perm()&writableByThem != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("others may write to the directory %s (mode %s) and replace the file: chmod go-w it", directory, info.Mode())
	}
	return nil
}

// openFile checks the file that is open, and not whatever the path may lead to later.
func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, mode)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errors.New("it is a symbolic link: give the path of the file itself")
	}
	if err != nil {
		return nil, err
	}
	if err := checkFile(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func checkFile(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("it is no file (mode %s)", info.Mode())
	}
	if owner := ownerOf(info); owner != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d and not to this one (%d)", owner, os.Geteuid())
	}
	if info.Mode().Perm()&forOthers != 0 {
		return fmt.Errorf("it is open to others (mode %s): chmod 600 it", info.Mode())
	}
	return nil
}

func ownerOf(info fs.FileInfo) int {
	if stat, is := info.Sys().(*syscall.Stat_t); is {
		return int(stat.Uid)
	}
	return -1
}

// abandon closes a file that bbolt may still have mapped: closing alone would keep the lock then.
func abandon(file *os.File) {
	_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	_ = file.Close()
}
