package proto

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
)

// This file takes a well-formed CBOR item apart without decoding or copying it
// (RFC 8949, 3): the library has checked it, and decodes whatever is not plain.
// A listener gets its messages through here.

// Major types (RFC 8949, 3.1).
const (
	majorUnsigned = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorOther
	majorNone // there is no item
)

// indefinite is the argument of a head that announces no length.
const indefinite = math.MaxUint64

// head reads the head of an item: its major type, the head's size, and its
// argument. An empty item has majorNone.
func head(b []byte) (major byte, size int, argument uint64) {
	if len(b) == 0 {
		return majorNone, 0, 0
	}
	major = b[0] >> 5
	switch info := b[0] & 0x1f; info {
	case 24:
		return major, 2, uint64(b[1])
	case 25:
		return major, 3, uint64(binary.BigEndian.Uint16(b[1:]))
	case 26:
		return major, 5, uint64(binary.BigEndian.Uint32(b[1:]))
	case 27:
		return major, 9, binary.BigEndian.Uint64(b[1:])
	case 31:
		return major, 1, indefinite
	default:
		return major, 1, uint64(info)
	}
}

// breakByte ends an item of indefinite length.
const breakByte = 0xff

// ends reports whether an array or map of indefinite length ends at b[at].
func ends(b []byte, at int, count uint64) bool { return count == indefinite && b[at] == breakByte }

// skip is the end of the item that starts at b[at]. The library has bounded how
// deep items nest.
func skip(b []byte, at int) int {
	major, n, arg := head(b[at:])
	at += n
	switch major {
	case majorBytes, majorText:
		if arg != indefinite {
			return at + int(arg)
		}
	case majorArray:
	case majorMap:
		if arg != indefinite {
			arg *= 2
		}
	case majorTag:
		arg = 1
	default:
		return at
	}
	for i := uint64(0); i != arg; i++ {
		if ends(b, at, arg) {
			return at + 1
		}
		at = skip(b, at)
	}
	return at
}

// names are the field names of the protocol, so that each frame need not make
// its own.
var names = func() map[string]string {
	m := map[string]string{}
	for _, s := range []string{
		"type", "token", "server", "extensions", "on_request", "for", "id", "status", "info", "login", "password", "sid", "session_id", "user", "data",
		"history", "messages", "last_id", "more", "limit", "before", "after", "to", "body", "from", "in_conference", "date", "nonce", "message_id", "online", "name",
	} {
		m[s] = s
	}
	return m
}()

// split makes a frame of a well-formed map. The frame's values are parts of b.
func split(b []byte) (Frame, error) {
	_, at, count := head(b)
	size := count
	if count == indefinite {
		size = 0
	}
	f := make(Frame, size)
	for i := uint64(0); i != count && !ends(b, at, count); i++ {
		end := skip(b, at)
		key := b[at:end]
		at = end
		major, n, arg := head(key)
		if major != majorText {
			return nil, fmt.Errorf("not a Skaro frame: a key is not text but CBOR %s", diagnose(key))
		}
		var name string
		if arg != indefinite {
			var known bool
			if name, known = names[string(key[n:])]; !known {
				name = string(key[n:])
			}
		} else {
			name, _ = text(key)
		}
		if _, double := f[name]; double {
			return nil, fmt.Errorf("not a Skaro frame: it has the key %q twice", name)
		}
		end = skip(b, at)
		f[name] = cbor.RawMessage(b[at:end:end])
		at = end
	}
	return f, nil
}
