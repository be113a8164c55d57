package boltstore

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"
)

// record is kept as the time when it is over (nanoseconds since 1970, 8 bytes), the length of the version (4 bytes), the
// version, and the data.
type record struct {
	until   time.Time
	version []byte
	data    []byte
}

const recordHeader = 8 + 4

func (r record) encode() []byte {
	value := make([]byte, 0, recordHeader+len(r.version)+len(r.data))
	value = binary.BigEndian.AppendUint64(value, uint64(r.until.UnixNano()))
	value = binary.BigEndian.AppendUint32(value, uint32(len(r.version)))
	value = append(value, r.version...)
	return append(value, r.data...)
}

// decode gives slices of value.
func decode(value []byte) (record, error) {
	if len(value) < recordHeader {
		return record{}, errNoRecord
	}
	until := binary.BigEndian.Uint64(value)
	length := binary.BigEndian.Uint32(value[8:])
	rest := value[recordHeader:]
	if until > math.MaxInt64 || uint64(length) > uint64(len(rest)) {
		return record{}, errNoRecord
	}
	return record{until: time.Unix(0, int64(until)), version: rest[:length], data: rest[length:]}, nil
}

var errNoRecord = errors.New("the file has a value that is no record: something else wrote to it")

// live gives the record under key if its time is not over.
func live(bucket *bolt.Bucket, key string, now time.Time) (r record, found bool, err error) {
	value := bucket.Get([]byte(key))
	if value == nil {
		return record{}, false, nil
	}
	if r, err = decode(value); err != nil || !now.Before(r.until) {
		return record{}, false, err
	}
	return r, true, nil
}
