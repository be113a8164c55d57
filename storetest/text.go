package storetest

import "fmt"

const maxShown = 40 // characters of a value in a message

func (r record) String() string {
	return fmt.Sprintf("%s at version %s", shorten(r.data), shorten(r.version))
}

func shorten(text string) string {
	if len(text) <= maxShown {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q... (%d bytes)", text[:maxShown], len(text))
}
