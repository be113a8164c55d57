package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	labelIndent = 5 // under the title
	labelWidth  = 13
	postsWidth  = 9
	timeWidth   = 10
	separator   = " · " // between a value and its note
)

// textPrinter is for people.
type textPrinter struct {
	out   io.Writer
	width int
	palette
	err error // the first of writing
}

func (p *textPrinter) line(text string) {
	if _, err := fmt.Fprintln(p.out, strings.TrimRight(text, " ")); err != nil && p.err == nil {
		p.err = err
	}
}

func (p *textPrinter) print(o outcome) {
	p.line(p.heading(o))
	for _, d := range o.details {
		p.detail(d)
	}
	if o.err == nil {
		return
	}
	if wrong, ok := errors.AsType[*mismatch](o.err); ok {
		p.detail(detail{label: "expected", value: wrong.what + ": " + wrong.expected})
		p.detail(detail{label: "seen", value: wrong.seen})
		return
	}
	p.detail(detail{label: "failed", value: oneLine(o.err.Error())})
}

// heading is number, mark and title, and at the right end what the step cost.
func (p *textPrinter) heading(o outcome) string {
	mark, title := p.good("✓"), p.bold(o.title)
	posts, took := countPosts(o.posts), inMilliseconds(o.duration)
	switch {
	case o.skipped:
		mark, title, posts, took = "-", p.dim(o.title), "", "not taken"
	case o.err != nil:
		mark = p.bad("✗")
	}
	gap := max(1, p.width-labelIndent-utf8.RuneCountInString(o.title)-postsWidth-timeWidth)
	cost := fmt.Sprintf("%*s%*s", postsWidth, posts, timeWidth, took)
	return fmt.Sprintf("%2d %s %s%s%s", o.number, mark, title, strings.Repeat(" ", gap), p.dim(cost))
}

// detail is a label and its value, and the note behind it where there is room.
func (p *textPrinter) detail(d detail) {
	room := p.width - labelIndent - labelWidth
	lines := wrap(d.value, room)
	if fits := utf8.RuneCountInString(d.value + separator + d.note); d.note != "" && fits <= room {
		lines = []string{d.value + separator + p.dim(d.note)}
	} else {
		for _, text := range wrap(d.note, room) {
			lines = append(lines, p.dim(text))
		}
	}
	label := p.label(d.label) + strings.Repeat(" ", max(1, labelWidth-utf8.RuneCountInString(d.label)))
	for _, text := range lines {
		p.line(strings.Repeat(" ", labelIndent) + label + text)
		label = strings.Repeat(" ", labelWidth)
	}
}

func (p *textPrinter) finish(all summary) error {
	p.line("")
	if all.failed != nil {
		p.line(p.bad(fmt.Sprintf("Step %d of %d did not hold.", all.failed.number, all.steps)))
		return p.err
	}
	p.line(p.bold(fmt.Sprintf("All %d steps held: %s to the token endpoint, %s in all, and nothing left this machine.",
		all.steps, countPosts(all.posts), all.duration.Round(10*time.Millisecond))))
	return p.err
}

func countPosts(n int) string {
	switch n {
	case 0:
		return "no POST"
	case 1:
		return "1 POST"
	}
	return fmt.Sprintf("%d POSTs", n)
}

func inMilliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
