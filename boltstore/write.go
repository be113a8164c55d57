package boltstore

import (
	"bytes"
	"context"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	maxTogether = 100 // writes in one transaction
	looks       = 8   // at records whose time may be over, per transaction
)

// write is one change of the records, made by the writer together with others that wait at the same time: the disk takes about
// as long for one as for many.
type write struct {
	do   func(*bolt.Bucket) (changed bool, err error)
	done chan outcome
}

type outcome struct {
	changed bool
	err     error
}

// submit hands a write to the writer. It ends when ctx does: the write may have begun then, and is made.
func (s *Store) submit(ctx context.Context, do func(*bolt.Bucket) (bool, error)) (changed bool, err error) {
	w := &write{do: do, done: make(chan outcome, 1)}
	select {
	case s.writes <- w:
	case <-s.closed:
		return false, ErrClosed
	case <-ctx.Done():
		return false, ctx.Err()
	}
	select {
	case o := <-w.done:
		return o.changed, o.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// write is the writer: it makes every write that it took, until the store is closed.
func (s *Store) write() {
	for {
		select {
		case <-s.closed:
			return
		case first := <-s.writes:
			s.commit(s.collect(first))
		}
	}
}

// collect takes what else waits.
func (s *Store) collect(first *write) []*write {
	together := []*write{first}
	for len(together) < maxTogether {
		select {
		case w := <-s.writes:
			together = append(together, w)
		default:
			return together
		}
	}
	return together
}

// commit makes the writes in one transaction: all of them or, with an error for each, none.
func (s *Store) commit(together []*write) {
	changed := make([]bool, len(together))
	next := s.swept
	err := guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) (err error) {
			bucket := tx.Bucket(bucketName)
			for i, w := range together {
				if changed[i], err = w.do(bucket); err != nil {
					return err
				}
			}
			next, err = sweep(bucket, s.swept)
			return err
		})
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		err = ErrClosed
	}
	if err == nil {
		s.swept = next
	}
	for i, w := range together {
		w.done <- outcome{changed[i] && err == nil, err}
	}
}

// sweep looks at a few records from a key on, removes those that are over, and gives the key to go on from.
func sweep(bucket *bolt.Bucket, from []byte) (next []byte, err error) {
	now := time.Now()
	var over [][]byte
	c := bucket.Cursor()
	key, value := c.Seek(from)
	for range looks {
		if key == nil {
			break
		}
		if !now.Before(decode(value).until) {
			over = append(over, bytes.Clone(key))
		}
		key, value = c.Next()
	}
	next = bytes.Clone(key) // nil: from the beginning
	for _, key := range over {
		if err := bucket.Delete(key); err != nil {
			return nil, err
		}
	}
	return next, nil
}
