package boltstore_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/authcode-go/authcode/boltstore"
)

// TestAFullDiskLeavesWhatWasThere has the system refuse to let the file grow.
func TestAFullDiskLeavesWhatWasThere(t *testing.T) {
	path := newPath(t)
	store := open(t, path)
	put(t, store, "before", "v1")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	limitFiles(t, uint64(info.Size()))
	full := fill(t, store)
	if full == nil {
		t.Fatal("the file grew beyond the limit")
	}
	if _, version, found, err := store.Get(t.Context(), "before"); version != "v1" || !found || err != nil {
		t.Errorf("Get = %q, %t, %v, after %v", version, found, err, full)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, path)
	if _, version, found, err := again.Get(t.Context(), "before"); version != "v1" || !found || err != nil {
		t.Errorf("after another Open Get = %q, %t, %v", version, found, err)
	}
	if _, _, found, err := again.Get(t.Context(), "too much"); found || err != nil {
		t.Errorf("what did not fit: %t, %v", found, err)
	}
	if err := again.Delete(t.Context(), "before"); err != nil {
		t.Errorf("Delete on a full disk: %v", err)
	}
}

func fill(t *testing.T, store *boltstore.Store) error {
	t.Helper()
	data := make([]byte, 8<<20)
	swapped, err := store.Swap(t.Context(), "too much", "", "v1", data, time.Hour)
	if err != nil && swapped {
		t.Error("Swap gives true with an error")
	}
	return err
}

// limitFiles lets files of this process grow to size, until the test ends.
func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Errorf("files stay limited: %v", err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
}
