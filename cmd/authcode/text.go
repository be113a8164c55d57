package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shorten shows that a secret or a long random value is there: its first characters and its length.
func shorten(value string) string {
	const shown = 4
	n := utf8.RuneCountInString(value)
	if n < 8*shown { // of a short one, the first characters would tell too much
		return fmt.Sprintf("[redacted] (%d characters)", n)
	}
	return fmt.Sprintf("%s… (%d characters)", string([]rune(value)[:shown]), n)
}

// oneLine makes text that others wrote safe to print: one line, and nothing that steers a terminal.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError:
			return '?'
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

// cut bounds text that others wrote.
func cut(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// wrap breaks text between words into lines of at most width characters; a longer word has a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= width {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}
