package entratest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// problems collects what is wrong with a directory, each with the path of its member as the JSON has it, like
// apps[1].redirect_uris[0]. Values of secrets and passwords stay out of it.
type problems struct {
	all []error
	at  map[string]bool
}

// add says what is wrong at a path, unless that path or one above it has a problem already: what follows from that
// would only hide it.
func (p *problems) add(path, format string, args ...any) {
	if p.blamed(path) {
		return
	}
	p.hide(path)
	where := "entratest: "
	if path != "" {
		where += path + ": "
	}
	p.all = append(p.all, fmt.Errorf(where+"%s", fmt.Sprintf(format, args...)))
}

// hide keeps problems of a path, and below it, out: they would follow from what was said already.
func (p *problems) hide(path string) {
	if p.at == nil {
		p.at = make(map[string]bool)
	}
	p.at[path] = true
}

// blamed reports whether the path, or one above it, has a problem.
func (p *problems) blamed(path string) bool {
	for path != "" && len(p.at) > 0 {
		if p.at[path] {
			return true
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return p.at[""]
}

// unsure reports whether a list, or one of these members of its n elements, has a problem: what refers to them is then
// not to be blamed.
func (p *problems) unsure(list string, n int, members ...string) bool {
	if len(p.at) == 0 {
		return false
	}
	if p.blamed(list) {
		return true
	}
	for i := range n {
		for _, member := range members {
			if p.blamed(element(list, i) + "." + member) {
				return true
			}
		}
	}
	return false
}

// err is nil, or all problems, one a line.
func (p *problems) err() error { return errors.Join(p.all...) }

// element is the path of a list's i-th element.
func element(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// member is the path of an object's member.
func member(object, name string) string {
	if strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '$' && r != '-'
	}) || name == "" {
		return object + "[" + quoted(name) + "]"
	}
	if object == "" {
		return name
	}
	return object + "." + name
}

// quoted is text on one line of bearable length.
func quoted(text string) string {
	const longest = 80
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return strconv.Quote(text)
}

// unique finds values that must be there once.
type unique map[string]string

// check refuses a value that another path has, ignoring case.
func (u unique) check(p *problems, path, value string) {
	key := strings.ToLower(value)
	if first, taken := u[key]; taken {
		p.add(path, "%s is %s already: give each its own", quoted(value), first)
		return
	}
	u[key] = path
}

// unless is nothing to compare with if the name is faulty of which the value may be made.
func (u unique) unless(faulty bool) unique {
	if faulty {
		return nil
	}
	return u
}
