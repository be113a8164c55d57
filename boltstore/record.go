package boltstore

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
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

// decode gives slices of value. One that is no record, since the disk or something else has changed it, is a record without data, which
// opens for nobody: its user signs in again, which replaces it, and all others are served.
func decode(value []byte) record {
	if len(value) < recordHeader {
		return damaged(value)
	}
	until := binary.BigEndian.Uint64(value)
	length := binary.BigEndian.Uint32(value[8:])
	rest := value[recordHeader:]
	if until > math.MaxInt64 || uint64(length) > uint64(len(rest)) {
		return damaged(value)
	}
	return record{until: time.Unix(0, int64(until)), version: rest[:length], data: rest[length:]}
}

func damaged(value []byte) record {
	sum := sha256.Sum256(value)
	return record{until: time.Unix(0, math.MaxInt64), version: fmt.Appendf(nil, "damaged %x", sum[:8])}
}

// live gives the record under key if its time is not over.
func live(bucket *bolt.Bucket, key string, now time.Time) (r record, found bool) {
	value := bucket.Get([]byte(key))
	if value == nil {
		return record{}, false
	}
	if r = decode(value); !now.Before(r.until) {
		return record{}, false
	}
	return r, true
}
