package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

const maxSecretFile = 64 << 10

// readSecretFile reads a file that holds a secret, if nobody else could have read or written it. All checks are on the
// file that was opened, so that it cannot be exchanged between check and use.
func readSecretFile(flag, path string) (content []byte, err error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("%s: %s %w", flag, path, err) }
	file, err := openNoFollow(path)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(errors.New("is not a regular file"))
	}
	if err := checkPrivate(info); err != nil {
		return fail(err)
	}
	content, err = io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return fail(fmt.Errorf("cannot be read: %w", reasonOf(err)))
	}
	if len(content) > maxSecretFile {
		return fail(fmt.Errorf("has more than %d KiB: it is not a secret", maxSecretFile>>10))
	}
	return content, nil
}

var errSymlink = errors.New("is a symbolic link: name the file it points to")

// reasonOf is an error of the system without the path, which is said already.
func reasonOf(err error) error {
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		return failed.Err
	}
	return err
}
