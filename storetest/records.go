package storetest

import (
	"strings"
)

var recordChecks = []check{
	{"a key without record is not found", func(s *subject) {
		s.wantNoRecord(newKey())
	}},
	{"a record is found as it was written", func(s *subject) {
		key := newKey()
		s.put(key, "v1", "one", long)
		s.wantRecord(key, "one", "v1")
		s.wantSwap(true, key, "v1", "v2", "two", long)
		s.wantRecord(key, "two", "v2")
	}},
	{"another handle finds it too", func(s *subject) {
		both, key := s.handles(), newKey()
		s.put(key, "v1", "one", long)
		s.Store = both[1]
		s.wantRecord(key, "one", "v1")
		s.wantSwap(true, key, "v1", "v2", "two", long)
		s.Store = both[0]
		s.wantRecord(key, "two", "v2")
		s.wantSwap(false, key, "v1", "v3", "three", long)
		s.delete(key)
		s.Store = both[1]
		s.wantNoRecord(key)
	}},
	{"a Swap from another version writes nothing", func(s *subject) {
		key := newKey()
		s.put(key, "v1", "one", long)
		s.wantSwap(true, key, "v1", "v2", "two", long)
		for _, old := range []string{"v1", "v", "v22", "V2", "v2 ", " v2", "*", "%", "v_"} {
			s.wantSwap(false, key, old, "v3", "three", long)
			s.wantRecord(key, "two", "v2")
		}
	}},
	{"a Swap from no version needs a free key", func(s *subject) {
		key := newKey()
		s.put(key, "v1", "one", long)
		s.wantSwap(false, key, "", "v2", "two", long)
		s.wantRecord(key, "one", "v1")
	}},
	{"a Swap from a version needs a record", func(s *subject) {
		key := newKey()
		s.wantSwap(false, key, "v1", "v2", "two", long)
		s.wantNoRecord(key)
	}},
	{"the same Swap again gives true", func(s *subject) {
		key := newKey()
		s.put(key, "v1", "one", long)
		s.wantSwap(true, key, "", "v1", "one", long)
		s.wantSwap(true, key, "v1", "v2", "two", long)
		s.wantSwap(true, key, "v1", "v2", "two", long)
		s.wantRecord(key, "two", "v2")
		s.wantSwap(true, key, "v2", "v3", "three", long)
		s.wantSwap(false, key, "v1", "v2", "two", long) // somebody came after it
		s.wantRecord(key, "three", "v3")
	}},
	{"Delete removes the record", func(s *subject) {
		key, other := newKey(), newKey()
		s.put(key, "v1", "one", long)
		s.put(other, "v1", "other", long)
		s.delete(key)
		s.wantNoRecord(key)
		s.wantSwap(false, key, "v1", "v2", "two", long)
		s.wantNoRecord(key)
		s.wantRecord(other, "other", "v1")
		s.put(key, "v3", "three", long)
		s.wantRecord(key, "three", "v3")
	}},
	{"Delete of what is not there succeeds", func(s *subject) {
		key := newKey()
		s.delete(key)
		s.put(key, "v1", "one", long)
		s.delete(key)
		s.delete(key)
		s.wantNoRecord(key)
	}},
	{"keys are told apart by every byte", func(s *subject) {
		key := newKey() + "-aB_"
		others := []string{
			strings.ToUpper(key), strings.ToLower(key), key + " ", " " + key, key + "x", key[:len(key)-1],
			key[:len(key)-1] + "%", key[:len(key)-1] + "*", key[:len(key)-1] + "?", "{" + key + "}",
		}
		s.put(key, "v1", "one", long)
		for _, other := range others {
			s.wantNoRecord(other)
			s.delete(other)
			s.put(other, "v1", other, long)
		}
		s.wantRecord(key, "one", "v1")
		for _, other := range others {
			s.wantRecord(other, other, "v1")
		}
	}},
	{"data is any bytes", func(s *subject) {
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		for name, data := range map[string]string{
			"every byte": string(every), "no bytes": "", "zero": "\x00", "no UTF-8": "\xff\xfe\x80", "line ends": "\r\n\r\n",
			"1 MiB": strings.Repeat(string(every), 1<<20/len(every)),
		} {
			key := newKey()
			s.put(key, "v1", data, long)
			s.wantRecord(key, data, "v1")
			s.wantSwap(true, key, "v1", "v2", data+name, long)
			s.wantRecord(key, data+name, "v2")
			s.wantSwap(true, key, "v2", "v3", data, long)
			s.wantRecord(key, data, "v3")
		}
	}},
	{"nil is no bytes", func(s *subject) {
		key := newKey()
		swapped, err := s.Swap(s.Context(), key, "", "v1", nil, long)
		if !swapped || err != nil {
			s.Fatalf("Swap with nil data = %t, %v", swapped, err)
		}
		s.wantRecord(key, "", "v1")
	}},
	{"versions may be long", func(s *subject) {
		key, version := newKey(), strings.Repeat("v", 1000)
		s.put(key, version+"1", "one", long)
		s.wantSwap(false, key, version+"2", version+"3", "three", long)
		s.wantSwap(true, key, version+"1", version+"2", "two", long)
		s.wantRecord(key, "two", version+"2")
	}},
	{"data belongs to the caller before and after", func(s *subject) {
		key, data := newKey(), []byte("one")
		if swapped, err := s.Swap(s.Context(), key, "", "v1", data, long); !swapped || err != nil {
			s.Fatalf("Swap = %t, %v", swapped, err)
		}
		copy(data, "xxx")
		s.wantRecord(key, "one", "v1")
		got, _, _, err := s.Get(s.Context(), key)
		if err != nil {
			s.Fatal(err)
		}
		copy(got, "xxx")
		s.wantRecord(key, "one", "v1")
	}},
}
