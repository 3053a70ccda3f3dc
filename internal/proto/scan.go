package proto

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/fxamacker/cbor/v2"
)

// The major types of CBOR (RFC 8949, 3.1).
const (
	majorUnsigned = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

// major returns the major type of an item.
func major(raw []byte) int {
	if len(raw) == 0 {
		return -1
	}
	return int(raw[0] >> 5)
}

// isMap reports whether a CBOR item is a map.
func isMap(raw []byte) bool { return major(raw) == majorMap }

// indefinite is the additional information of an item without a length, and of the break
// that ends it (RFC 8949, 3.2.1).
const indefinite = 31

var errTruncated = errors.New("it ends in the middle")

// scanner reads the structure of CBOR, and none of its values.
type scanner struct {
	b        []byte
	pos      int
	elements int // that item has read
}

// checkFrame returns an error if b is not exactly one CBOR item within the limits of a frame.
// Its time does not depend on what the lengths in b claim.
func checkFrame(b []byte) error {
	s := scanner{b: b}
	if err := s.item(0); err != nil {
		return err
	}
	if more := len(b) - s.pos; more > 0 {
		return fmt.Errorf("it is followed by %d more bytes", more)
	}
	return nil
}

// head reads the first bytes of an item: its major type, its additional information and its
// argument (RFC 8949, 3).
func (s *scanner) head() (kind int, info byte, argument uint64, err error) {
	if s.pos == len(s.b) {
		return 0, 0, 0, errTruncated
	}
	first := s.b[s.pos]
	kind, info = int(first>>5), first&0x1f
	s.pos++
	if info < 24 {
		return kind, info, uint64(info), nil
	}
	if info > 27 {
		if info == indefinite && kind >= majorBytes && kind != majorTag {
			return kind, info, 0, nil
		}
		return 0, 0, 0, s.invalid()
	}
	size := 1 << (info - 24)
	if len(s.b)-s.pos < size {
		return 0, 0, 0, errTruncated
	}
	var wide [8]byte
	copy(wide[8-size:], s.b[s.pos:])
	s.pos += size
	return kind, info, binary.BigEndian.Uint64(wide[:]), nil
}

func (s *scanner) invalid() error { return fmt.Errorf("byte %d is not valid CBOR", s.pos-1) }

// item reads one item, with everything in it.
func (s *scanner) item(depth int) error {
	kind, info, argument, err := s.head()
	if err != nil {
		return err
	}
	if s.elements++; s.elements > maxFrameElements {
		return fmt.Errorf("it has more than %d elements", maxFrameElements)
	}
	switch kind {
	case majorBytes, majorText:
		return s.text(kind, info, argument)
	case majorArray, majorMap, majorTag:
		if depth++; depth > maxDepth {
			return fmt.Errorf("it is nested in more than %d levels", maxDepth)
		}
		if kind == majorTag {
			return s.item(depth)
		}
		return s.container(kind, info, argument, depth)
	case majorSimple:
		if info == indefinite || info == 24 && argument < 32 {
			return s.invalid()
		}
	}
	return nil
}

// text reads a text or bytes after its head.
func (s *scanner) text(kind int, info byte, length uint64) error {
	if info != indefinite {
		if length > uint64(len(s.b)-s.pos) {
			return errTruncated
		}
		s.pos += int(length)
		return nil
	}
	for !s.ended() {
		if s.pos < len(s.b) && (major(s.b[s.pos:]) != kind || s.b[s.pos]&0x1f == indefinite) {
			s.pos++
			return s.invalid()
		}
		if err := s.item(0); err != nil {
			return err
		}
	}
	return nil
}

// container reads an array or a map after its head.
func (s *scanner) container(kind int, info byte, length uint64, depth int) error {
	if kind == majorMap && length > maxPairs {
		return errPairs
	}
	n := length
	if kind == majorMap {
		n *= 2
	}
	for i := uint64(0); ; i++ {
		switch {
		case info != indefinite && i == n:
			return nil
		case kind == majorMap && i/2 > maxPairs:
			return errPairs
		case info == indefinite && s.ended():
			if kind == majorMap && i%2 != 0 {
				return s.invalid()
			}
			return nil
		}
		if err := s.item(depth); err != nil {
			return err
		}
	}
}

var errPairs = fmt.Errorf("a map in it has more than %d keys", maxPairs)

// ended reads the break at the end of an item of indefinite length, if it is there.
func (s *scanner) ended() bool {
	if s.pos < len(s.b) && s.b[s.pos] == 0xff {
		s.pos++
		return true
	}
	return false
}

// parts returns the items in an array, the keys and values of a map in turn, or the content
// of a tag. raw has been checked.
func parts(raw []byte) iter.Seq[cbor.RawMessage] {
	return func(yield func(cbor.RawMessage) bool) {
		s := scanner{b: raw}
		_, info, _, err := s.head()
		for err == nil && s.pos < len(raw) && !(info == indefinite && s.ended()) {
			start := s.pos
			if err = s.item(0); err == nil && !yield(raw[start:s.pos:s.pos]) {
				return
			}
		}
	}
}

// countParts returns how many items parts returns.
func countParts(raw []byte) int {
	n := 0
	for range parts(raw) {
		n++
	}
	return n
}

// countElements returns how many items a checked item has, with itself.
func countElements(raw []byte) int {
	s := scanner{b: raw}
	_ = s.item(0) // it can't fail, since it was checked
	return s.elements
}
