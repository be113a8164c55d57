package authcode

import (
	"strconv"
	"testing"
	"unsafe"
)

// The allocator lays objects of up to 128 bytes on two neighbouring cache lines; one more byte, and a cached GetToken reads a
// third one, which with a million accounts is one more trip to memory.
func TestASnapshotIsTwoCacheLines(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the layout is that of 64-bit processors: run it on one")
	}
	if size := unsafe.Sizeof(snapshot{}); size > 128 {
		t.Errorf("a snapshot takes %d bytes, more than 128", size)
	}
	if offset := unsafe.Offsetof(grant{}.current); offset != 0 {
		t.Errorf("the snapshot's pointer stands at byte %d of the grant, not at its beginning", offset)
	}
}
