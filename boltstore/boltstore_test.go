package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/boltstore"
	"github.com/authcode-go/authcode/storetest"
)

var (
	_ authcode.Store  = (*boltstore.Store)(nil)
	_ authcode.Leaser = (*boltstore.Store)(nil)
	_ authcode.Lister = (*boltstore.Store)(nil)
)

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "authcode.db") }

func open(t testing.TB, path string) *boltstore.Store {
	t.Helper()
	store, err := boltstore.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// fileStore knows its file.
type fileStore struct {
	*boltstore.Store
	path string
}

func TestStore(t *testing.T) {
	openNew := func(t testing.TB) authcode.Store {
		path := newPath(t)
		return fileStore{open(t, path), path}
	}
	storetest.Run(t, openNew, &storetest.Options{
		Reopen: func(t testing.TB, store authcode.Store) authcode.Store {
			before := store.(fileStore)
			if err := before.Close(); err != nil {
				t.Fatal(err)
			}
			return fileStore{open(t, before.path), before.path}
		},
	})
}

func TestFileIsForOneProcess(t *testing.T) {
	path := newPath(t)
	first := open(t, path)
	if _, err := boltstore.Open(path, nil); !errors.Is(err, boltstore.ErrInUse) {
		t.Errorf("the second Open gives %v, want ErrInUse", err)
	}
	began := time.Now()
	const wait = 200 * time.Millisecond
	if _, err := boltstore.Open(path, &boltstore.Options{Wait: wait}); !errors.Is(err, boltstore.ErrInUse) || time.Since(began) < wait/2 {
		t.Errorf("an Open that waits gives %v after %s, want ErrInUse after %s", err, time.Since(began), wait)
	}
	put(t, first, "key", "v1")
	opened := make(chan error, 1)
	go func() {
		store, err := boltstore.Open(path, &boltstore.Options{Wait: time.Minute})
		if err == nil {
			_, version, _, _ := store.Get(context.Background(), "key")
			err = store.Close()
			if version != "v1" {
				err = fmt.Errorf("version %q", version)
			}
		}
		opened <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("whose turn it was: %v", err)
	}
}

func TestFileIsMadeForItsOwner(t *testing.T) {
	path := newPath(t)
	open(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %s, %v", info.Mode(), err)
	}
}

func TestFilesOfSomethingElse(t *testing.T) {
	for name, content := range map[string]string{"text": strings.Repeat("text ", 10_000), "short": "x"} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := boltstore.Open(path, nil); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("Open gives %v", err)
			}
			if after, err := os.ReadFile(path); string(after) != content || err != nil {
				t.Errorf("the file has %d bytes now, %v", len(after), err)
			}
		})
	}
}

// TestValuesOfSomethingElse: what is no record is its own user's trouble, who signs in again, and nobody else's.
func TestValuesOfSomethingElse(t *testing.T) {
	for name, value := range map[string][]byte{
		"short": []byte("x"), "a version longer than all": bytes.Repeat([]byte{0x7f}, 20), "a time beyond all": bytes.Repeat([]byte{0xff}, 20),
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			writeValue(t, path, "key", value)
			store := open(t, path)
			data, version, found, err := store.Get(t.Context(), "key")
			if len(data) > 0 || !found || err != nil {
				t.Errorf("Get = %q, %t, %v", data, found, err)
			}
			if err := store.List(t.Context(), "", func(key string) bool { return key == "key" }); err != nil {
				t.Error(err)
			}
			old := ""
			for _, next := range []string{"v1", "v2", "v3"} { // the others are served
				if swapped, err := store.Swap(t.Context(), "another", old, next, nil, time.Hour); !swapped || err != nil {
					t.Errorf("Swap of another = %t, %v", swapped, err)
				}
				old = next
			}
			if swapped, err := store.Swap(t.Context(), "key", "", "v1", nil, time.Hour); swapped || err != nil {
				t.Errorf("Swap from nothing = %t, %v", swapped, err)
			}
			if swapped, err := store.Swap(t.Context(), "key", version, "v1", nil, time.Hour); !swapped || err != nil {
				t.Errorf("Swap from what is there = %t, %v", swapped, err)
			}
		})
	}
}

// TestADamagedFileGivesErrors spoils one page of a file after the other: errors, and no panic.
func TestADamagedFileGivesErrors(t *testing.T) {
	path, whole := fileWithPages(t)
	const firstPages = 2 // tell a bbolt file, and have checksums
	failures := 0
	page := os.Getpagesize()
	for start := firstPages * page; start < len(whole); start += page {
		for _, b := range []byte{0x00, 0xa5, 0xff} {
			spoilt := bytes.Clone(whole)
			copy(spoilt[start:], bytes.Repeat([]byte{b}, page))
			if err := os.WriteFile(path, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			if useAll(t, path) != nil {
				failures++
			}
		}
	}
	if failures == 0 {
		t.Error("nothing that was spoilt made an error")
	}
}

// TestAPageThatIsNotThereGivesAnError has pages that name others beyond the file's end, where reading faults.
func TestAPageThatIsNotThereGivesAnError(t *testing.T) {
	path, whole := fileWithPages(t)
	const flags, branch, firstChild = 8, 1, 16 + 8
	branches := 0
	for start := 0; start < len(whole); start += os.Getpagesize() {
		if whole[start+flags] != branch {
			continue
		}
		branches++
		copy(whole[start+firstChild:], []byte{0xff, 0xff, 0xff, 0x3f})
	}
	if branches == 0 {
		t.Fatal("the file has no branch page")
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, found, err := open(t, path).Get(t.Context(), "key0"); found || err == nil {
		t.Errorf("Get = %t, %v", found, err)
	}
}

// fileWithPages gives a file with 200 records and its content.
func fileWithPages(t *testing.T) (path string, content []byte) {
	t.Helper()
	path = newPath(t)
	store := open(t, path)
	for i := range 200 {
		if swapped, err := store.Swap(t.Context(), fmt.Sprint("key", i), "", "v1", make([]byte, 100), time.Hour); !swapped || err != nil {
			t.Fatal(swapped, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, content
}

// useAll opens a file and uses every method.
func useAll(t *testing.T, path string) error {
	t.Helper()
	store, err := boltstore.Open(path, nil)
	if errors.Is(err, boltstore.ErrInUse) {
		t.Fatal("the file that could not be opened is still locked")
	}
	if err != nil {
		return err
	}
	for i := range 200 {
		_, _, _, getErr := store.Get(t.Context(), fmt.Sprint("key", i))
		err = errors.Join(err, getErr)
	}
	_, swapErr := store.Swap(t.Context(), "key1", "v1", "v2", nil, time.Hour)
	listErr := store.List(t.Context(), "", func(string) bool { return true })
	return errors.Join(err, swapErr, listErr, store.Delete(t.Context(), "key2"), store.Close())
}

func writeValue(t *testing.T, path, key string, value []byte) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucket([]byte("records"))
		if err != nil {
			return err
		}
		return bucket.Put([]byte(key), value)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestWhatIsOverLeavesTheFile counts what bbolt has, after the times ended.
func TestWhatIsOverLeavesTheFile(t *testing.T) {
	const over = 50
	path := newPath(t)
	store := open(t, path)
	for i := range over {
		if swapped, err := store.Swap(t.Context(), fmt.Sprint("over", i), "", "v1", []byte("data"), time.Nanosecond); !swapped || err != nil {
			t.Fatal(swapped, err)
		}
	}
	put(t, store, "alive", "v0")
	for i := range over { // writes of others
		if swapped, err := store.Swap(t.Context(), "alive", fmt.Sprint("v", i), fmt.Sprint("v", i+1), nil, time.Hour); !swapped || err != nil {
			t.Fatal(swapped, err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	_ = db.View(func(tx *bolt.Tx) error {
		if n := tx.Bucket([]byte("records")).Stats().KeyN; n != 1 {
			t.Errorf("the file has %d records, want 1", n)
		}
		return nil
	})
}

func TestKeysThatAFileCannotHave(t *testing.T) {
	store := open(t, newPath(t))
	for _, key := range []string{"", strings.Repeat("k", 1<<16)} {
		if swapped, err := store.Swap(t.Context(), key, "", "v1", nil, time.Hour); swapped || err == nil {
			t.Errorf("Swap of a key with %d bytes = %t, %v", len(key), swapped, err)
		}
	}
	put(t, store, "key", "v1")
}

func TestCloseAgain(t *testing.T) {
	store := open(t, newPath(t))
	for range 2 {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, _, err := store.Get(t.Context(), "key"); !errors.Is(err, boltstore.ErrClosed) {
		t.Errorf("Get gives %v, want ErrClosed", err)
	}
}

func put(t testing.TB, store authcode.Store, key, version string) {
	t.Helper()
	if swapped, err := store.Swap(t.Context(), key, "", version, []byte("data"), time.Hour); !swapped || err != nil {
		t.Fatalf("Swap(%q) = %t, %v", key, swapped, err)
	}
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(t testing.TB) authcode.Store { return open(t, newPath(t)) })
}

func ExampleOpen() {
	directory, err := os.MkdirTemp("", "authcode")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(directory) }()
	store, err := boltstore.Open(filepath.Join(directory, "authcode.db"), &boltstore.Options{Wait: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	fmt.Printf("%T\n", store)
	// Output: *boltstore.Store
}
