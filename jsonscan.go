package authcode

// jsonScanner walks JSON text (RFC 8259) once. It accepts what encoding/json accepts, down to how deep values may lie in one
// another, and says where the members of an object are, which encoding/json does only at the price of several passes.
type jsonScanner struct {
	text  []byte
	at    int
	depth int
}

const maxJSONDepth = 10_000 // as encoding/json's

// value walks over any value.
func (s *jsonScanner) value() bool {
	if s.at == len(s.text) {
		return false
	}
	switch c := s.text[s.at]; c {
	case '"':
		return s.string()
	case '{':
		return s.object(nil)
	case '[':
		return s.array()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

// object walks over an object and tells found of its members, as they are written.
func (s *jsonScanner) object(found func(name, value []byte)) bool {
	if !s.enter('{') {
		return false
	}
	if s.take('}') {
		return s.leave()
	}
	for {
		s.blanks()
		name := s.at
		if !s.string() {
			return false
		}
		nameEnd := s.at
		if !s.take(':') {
			return false
		}
		s.blanks()
		value := s.at
		if !s.value() {
			return false
		}
		if found != nil {
			found(s.text[name:nameEnd], s.text[value:s.at])
		}
		if s.take('}') {
			return s.leave()
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *jsonScanner) array() bool {
	if !s.enter('[') {
		return false
	}
	if s.take(']') {
		return s.leave()
	}
	for {
		s.blanks()
		if !s.value() {
			return false
		}
		if s.take(']') {
			return s.leave()
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *jsonScanner) enter(bracket byte) bool {
	s.depth++
	return s.depth <= maxJSONDepth && s.take(bracket)
}

func (s *jsonScanner) leave() bool {
	s.depth--
	return true
}

// take walks over blanks and c, if that is what comes.
func (s *jsonScanner) take(c byte) bool {
	s.blanks()
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *jsonScanner) blanks() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

func (s *jsonScanner) word(word string) bool {
	if len(s.text)-s.at < len(word) || string(s.text[s.at:s.at+len(word)]) != word {
		return false
	}
	s.at += len(word)
	return true
}

// string walks over a string (RFC 8259 section 7). Whether it is UTF-8 is looked at elsewhere.
func (s *jsonScanner) string() bool {
	if s.at == len(s.text) || s.text[s.at] != '"' {
		return false
	}
	for i := s.at + 1; ; {
		i += plainLength(s.text[i:])
		for stop := min(i+wordBytes, len(s.text)); i < stop; i++ { // the word with the end in it, or an escape
			switch c := s.text[i]; {
			case c == '"':
				s.at = i + 1
				return true
			case c < ' ':
				return false
			case c == '\\':
				more := escapeLength(s.text[i:])
				if more == 0 {
					return false
				}
				i += more - 1
			}
		}
		if i >= len(s.text) {
			return false
		}
	}
}

// escapeLength gives the length of the escape sequence at the start of text; 0: it is none.
func escapeLength(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) >= 6 && isHex(text[2]) && isHex(text[3]) && isHex(text[4]) && isHex(text[5]) {
			return 6
		}
	}
	return 0
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// number walks over a number (RFC 8259 section 6).
func (s *jsonScanner) number() bool {
	s.skip('-')
	if !s.skip('0') && !s.digits() {
		return false
	}
	if s.skip('.') && !s.digits() {
		return false
	}
	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		return s.digits()
	}
	return true
}

// skip walks over c, if that is what comes next.
func (s *jsonScanner) skip(c byte) bool {
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

func (s *jsonScanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && isDigit(s.text[s.at]) {
		s.at++
	}
	return s.at > from
}
