package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const fileMode = 0o600

// Options of [Open]. The zero value is ready.
type Options struct {
	// Wait is how long Open waits for a file that another process has open. 0: not at all.
	Wait time.Duration
}

// ErrInUse means that another process has the file open, or another Store in this one.
var ErrInUse = errors.New("the file is in use by another process: end that one, or give Options.Wait")

// ErrClosed is what the methods of a Store give after its Close.
var ErrClosed = errors.New("the store is closed")

var bucketName = []byte("records")

// Store is an authcode.Store, Leaser and Lister in a file. It is safe for concurrent use.
type Store struct {
	db     *bolt.DB
	writes chan *write
	closed chan struct{}
	close  sync.Once
	writer sync.WaitGroup
	swept  []byte // the key up to which records were looked at; the writer's

	leases leases
}

// Open opens the file at path, and makes it if there is none; its directory has to be there. nil options mean the zero value.
//
// Errors: [ErrInUse]; a file that is no bbolt file, that is a symbolic link or no file, or that somebody else owns, reads or could
// replace.
func Open(path string, options *Options) (*Store, error) {
	if options == nil {
		options = &Options{}
	}
	if err := checkDirectory(path); err != nil {
		return nil, fmt.Errorf("boltstore: Open: %w", err)
	}
	db, err := openDB(path, options.Wait)
	if err != nil {
		return nil, fmt.Errorf("boltstore: Open: %s: %w", path, err)
	}
	s := &Store{db: db, writes: make(chan *write), closed: make(chan struct{})}
	s.writer.Go(s.write)
	return s, nil
}

func openDB(path string, wait time.Duration) (db *bolt.DB, err error) {
	var file *os.File
	open := func(path string, flag int, mode fs.FileMode) (*os.File, error) {
		file, err = openFile(path, flag, mode)
		return file, err
	}
	err = guard(func() (err error) {
		db, err = bolt.Open(path, fileMode, &bolt.Options{OpenFile: open, Timeout: max(wait, 1), FreelistType: bolt.FreelistMapType})
		if err != nil {
			return err
		}
		return db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(bucketName)
			return err
		})
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		err = ErrInUse
	case db != nil:
		_ = db.Close()
	case file != nil:
		abandon(file) // which bbolt keeps when it panics
	}
	return nil, err
}

// Close lets writes that have begun end, and closes the file. Closing again does nothing.
func (s *Store) Close() (err error) {
	s.close.Do(func() {
		close(s.closed)
		s.writer.Wait()
		err = failed("Close", s.db.Close())
	})
	return err
}

// Get gives the record under key, as authcode.Store says.
func (s *Store) Get(ctx context.Context, key string) (data []byte, version string, found bool, err error) {
	if err := s.check(ctx, key); err != nil {
		return nil, "", false, failed("Get", err)
	}
	err = s.view(func(bucket *bolt.Bucket) error {
		var r record
		if r, found = live(bucket, key, time.Now()); found {
			data, version = bytes.Clone(r.data), string(r.version) // what bbolt gave is gone with the transaction
		}
		return nil
	})
	if err != nil {
		return nil, "", false, failed("Get", err)
	}
	return data, version, found, nil
}

// Swap writes the record if the stored version is oldVersion, as authcode.Store says.
func (s *Store) Swap(ctx context.Context, key, oldVersion, newVersion string, data []byte, ttl time.Duration) (swapped bool, err error) {
	if err := s.check(ctx, key); err != nil {
		return false, failed("Swap", err)
	}
	value := record{version: []byte(newVersion), data: data, until: time.Now().Add(ttl)}.encode()
	swapped, err = s.submit(ctx, func(bucket *bolt.Bucket) (bool, error) {
		r, _ := live(bucket, key, time.Now())
		switch string(r.version) { // of no record: ""
		case newVersion:
			return true, nil
		case oldVersion:
			return true, bucket.Put([]byte(key), value)
		}
		return false, nil
	})
	return swapped, failed("Swap", err)
}

// Delete removes the record and leaves a lease on its key alone.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.check(ctx, key); err != nil {
		return failed("Delete", err)
	}
	_, err := s.submit(ctx, func(bucket *bolt.Bucket) (bool, error) { return true, bucket.Delete([]byte(key)) })
	return failed("Delete", err)
}

// Lease gives owner the key for ttl if nobody else has it, as authcode.Leaser says.
func (s *Store) Lease(ctx context.Context, key, owner string, ttl time.Duration) (granted bool, err error) {
	if err := s.check(ctx, key); err != nil {
		return false, failed("Lease", err)
	}
	return s.leases.take(key, owner, ttl), nil
}

// Release ends owner's lease and nobody else's.
func (s *Store) Release(ctx context.Context, key, owner string) error {
	if err := s.check(ctx, key); err != nil {
		return failed("Release", err)
	}
	s.leases.end(key, owner)
	return nil
}

const pageSize = 1000 // keys that are read in one transaction

// List calls yield for each key with prefix that has a record, as authcode.Lister says. No transaction is open while yield runs.
func (s *Store) List(ctx context.Context, prefix string, yield func(key string) bool) error {
	for from := prefix; ; {
		if err := s.check(ctx, "a key"); err != nil {
			return failed("List", err)
		}
		keys, next, err := s.page(prefix, from)
		if err != nil {
			return failed("List", err)
		}
		for _, key := range keys {
			if !yield(key) {
				return nil
			}
		}
		if from = next; from == "" {
			return nil
		}
	}
}

// page reads keys with prefix beginning at from, and says where the next page begins, "" for nowhere.
func (s *Store) page(prefix, from string) (keys []string, next string, err error) {
	now := time.Now()
	err = s.view(func(bucket *bolt.Bucket) error {
		c := bucket.Cursor()
		key, value := c.Seek([]byte(from))
		for ; key != nil && strings.HasPrefix(string(key), prefix); key, value = c.Next() {
			if len(keys) == pageSize {
				next = string(key)
				return nil
			}
			if now.Before(decode(value).until) {
				keys = append(keys, string(key))
			}
		}
		return nil
	})
	return keys, next, err
}

// check says whether a method may begin.
func (s *Store) check(ctx context.Context, key string) error {
	select {
	case <-s.closed:
		return ErrClosed
	default:
	}
	if key == "" || len(key) > bolt.MaxKeySize {
		return fmt.Errorf("a key has 1 to %d bytes, this one has %d", bolt.MaxKeySize, len(key))
	}
	return ctx.Err()
}

func (s *Store) view(do func(*bolt.Bucket) error) error {
	err := guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error { return do(tx.Bucket(bucketName)) })
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// guard makes an error of the panic or the fault that bbolt has at a file that something else wrote to.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the file is damaged (%v): put it aside, and let users sign in again", p)
		}
	}()
	return do()
}

func failed(method string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("boltstore: %s: %w", method, err)
}
