package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// jsonPrinter is for programs: one document, at the end.
type jsonPrinter struct {
	out   io.Writer
	steps []stepDocument
}

// demoDocument is what demo --json prints.
type demoDocument struct {
	OK         bool           `json:"ok"`
	Posts      int            `json:"token_requests"`
	DurationMS float64        `json:"duration_ms"`
	Steps      []stepDocument `json:"steps"`
}

type stepDocument struct {
	Number     int            `json:"number"`
	Name       string         `json:"name"`
	Title      string         `json:"title"`
	OK         bool           `json:"ok"`
	Skipped    bool           `json:"skipped,omitempty"`
	Posts      int            `json:"token_requests"`
	DurationMS float64        `json:"duration_ms"`
	Details    map[string]any `json:"details"`
	Error      string         `json:"error,omitempty"`
	Expected   string         `json:"expected,omitempty"`
	Seen       string         `json:"seen,omitempty"`
}

func (p *jsonPrinter) print(o outcome) {
	d := stepDocument{
		Number: o.number, Name: o.name, Title: o.title, OK: o.err == nil && !o.skipped, Skipped: o.skipped,
		Posts: o.posts, DurationMS: milliseconds(o.duration), Details: make(map[string]any),
	}
	for _, seen := range o.details {
		name := strings.ReplaceAll(strings.ToLower(seen.label), " ", "_")
		d.Details[name] = seen.value
		if seen.data != nil {
			d.Details[name] = seen.data
		}
	}
	if o.err != nil {
		d.Error = oneLine(o.err.Error())
	}
	if wrong, ok := errors.AsType[*mismatch](o.err); ok {
		d.Error, d.Expected, d.Seen = wrong.what, wrong.expected, wrong.seen
	}
	p.steps = append(p.steps, d)
}

func (p *jsonPrinter) finish(all summary) error {
	return writeJSON(p.out, demoDocument{
		OK: all.failed == nil, Posts: all.posts, DurationMS: milliseconds(all.duration), Steps: p.steps,
	})
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

// writeJSON writes for people's eyes too: indented, and with < and & as they are.
func writeJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
