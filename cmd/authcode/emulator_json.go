package main

import (
	"encoding/json"
	"io"
)

// eventDocument is a line of emulator --json, or of demo --serve --json.
type eventDocument struct {
	Event       string            `json:"event"`
	URL         string            `json:"url,omitempty"` // of the web app
	Authority   string            `json:"authority,omitempty"`
	Address     string            `json:"address,omitempty"`
	Console     string            `json:"console,omitempty"`
	CAFile      string            `json:"ca_file,omitempty"`
	StateFile   string            `json:"state_file,omitempty"`
	Config      string            `json:"config,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	Users       []stateUser       `json:"users,omitempty"`
	Error       string            `json:"error,omitempty"`
}

// emulatorJSON is for programs: a document a line.
type emulatorJSON struct{ out io.Writer }

func (p *emulatorJSON) listening(s started) error {
	environment := make(map[string]string)
	for _, v := range s.document.environment() {
		environment[v.name] = v.value
	}
	return p.print(eventDocument{
		Event: "listening", Authority: s.document.Authority, Address: s.address.String(), Console: s.console,
		CAFile: s.document.CAFile, StateFile: s.stateFile, Config: s.config, Environment: environment,
	})
}

func (p *emulatorJSON) reloaded(path string, _ stateDocument) error {
	return p.print(eventDocument{Event: "reloaded", Config: path})
}

func (p *emulatorJSON) notReloaded(path string, err error) error {
	return p.print(eventDocument{Event: "not-reloaded", Config: path, Error: oneLine(err.Error())})
}

func (p *emulatorJSON) stopped() error { return p.print(eventDocument{Event: "stopped"}) }

func (p *emulatorJSON) print(d eventDocument) error {
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(d)
}
