package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/authcode-go/authcode/entratest"
)

// maxConfig bounds a configuration, in bytes.
const maxConfig = 16 << 20

// configFile is a directory's JSON, on disk.
type configFile struct {
	path string
	seen os.FileInfo // nil: there was none
}

// read reads the file as it is now, and remembers which that was.
func (f *configFile) read() (*entratest.Directory, error) {
	// Looked at before it is read: a change in between is seen next time.
	f.seen, _ = os.Stat(f.path)
	content, err := f.content()
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", f.path, reasonOf(err))
	}
	directory, err := entratest.ParseDirectory(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, problems{err})
	}
	return directory, nil
}

func (f *configFile) content() (content []byte, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is not a regular file")
	}
	content, err = io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(content) > maxConfig {
		err = fmt.Errorf("it has more than %d MiB", maxConfig>>20)
	}
	return content, err
}

// changed reports whether the file is another than the one that was read.
func (f *configFile) changed() bool {
	info, err := os.Stat(f.path)
	if err != nil || f.seen == nil {
		return (err == nil) != (f.seen != nil)
	}
	return info.Size() != f.seen.Size() || !info.ModTime().Equal(f.seen.ModTime()) || !os.SameFile(info, f.seen)
}

// problems is what is wrong with a directory in one line, of which each problem is a part.
type problems struct{ error }

// Error implements error.
func (p problems) Error() string {
	lines := strings.Split(strings.TrimSpace(p.error.Error()), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "entratest: ")
	}
	return strings.Join(lines, "; ")
}

// Unwrap gives the error with a line for each problem.
func (p problems) Unwrap() error { return p.error }
