package main

import (
	"os"

	"golang.org/x/term"
)

const (
	narrowest = 60
	widest    = 100 // also what a pipe gets: longer lines are hard to read
)

// isTerminal reports whether a person is at the other end of a stream.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// widthOf is how long the lines written to a stream may be.
func widthOf(stream any) int {
	if file, ok := stream.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			return min(max(width, narrowest), widest)
		}
	}
	return widest
}

// wantsColour follows https://no-color.org.
func (s streams) wantsColour() bool {
	return isTerminal(s.out) && s.getenv("NO_COLOR") == "" && s.getenv("TERM") != "dumb"
}

// palette writes in colours; its zero value does not.
type palette struct{ on bool }

func (p palette) bold(text string) string  { return p.paint("1", text) }
func (p palette) dim(text string) string   { return p.paint("2", text) }
func (p palette) good(text string) string  { return p.paint("32", text) }
func (p palette) bad(text string) string   { return p.paint("1;31", text) }
func (p palette) label(text string) string { return p.paint("36", text) }

func (p palette) paint(code, text string) string {
	if !p.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
