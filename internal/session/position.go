package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// Position is how far a listener has come. On a server with the extension updates, ID is
// enough, and Date says where to continue if the ids go backwards. On any other server,
// messages are told apart by date, sender, recipient and body.
type Position struct {
	ID      int64     `json:"id,omitempty"`      // of the last message that was delivered or passed over
	Date    time.Time `json:"date,omitzero"`     // of the newest of these messages
	Seen    []string  `json:"seen,omitempty"`    // fingerprints of the messages with that date
	Undated []string  `json:"undated,omitempty"` // fingerprints of the last messages without a date
	Dialogs []string  `json:"dialogs,omitempty"` // the dialogs that have had messages, contacts or not
}

// maxID is the largest id that a message can have. Some readers of JSON round larger
// integers, and no server counts that far.
const maxID = 1 << 53

// wrongID returns why the id of a message can't be right, or "". A message may have no id.
// proto leaves an id that is not positive in Extra.
func wrongID(m proto.Message) string {
	if m.ID > maxID {
		return fmt.Sprintf("the id of a message is %d", m.ID)
	}
	switch id := m.Extra.Value("id").(type) {
	case int64, uint64:
		return fmt.Sprintf("the id of a message is %v", id)
	case big.Int:
		return "the id of a message is an integer of more than 64 bits"
	}
	return ""
}

// checkIDs returns an error if the ids of messages do not grow, or are not between two ids.
// A message without an id passes.
func checkIDs(messages []proto.Message, after, before int64) error {
	for _, m := range messages {
		if why := wrongID(m); why != "" {
			return errors.New(why)
		}
		if m.ID == 0 {
			continue
		}
		if m.ID <= after || m.ID >= before {
			return fmt.Errorf("the id of a message is %d, and not between %d and %d", m.ID, after, before)
		}
		after = m.ID
	}
	return nil
}

// UnmarshalJSON refuses what can't be a position.
func (p *Position) UnmarshalJSON(text []byte) error {
	type plain Position
	if err := json.Unmarshal(text, (*plain)(p)); err != nil {
		return err
	}
	if p.ID < 0 || p.ID > maxID {
		return fmt.Errorf("its id is %d", p.ID)
	}
	return nil
}

// Bound is one end of a range of messages: a time or a message id. The zero Bound
// means no bound.
type Bound struct {
	Time time.Time
	ID   int64
}

// after reports whether a message comes after the bound: an id is exclusive, a time
// inclusive. A message without the field that the bound compares counts as after it, so
// that it is shown rather than lost.
func (b Bound) after(m proto.Message) bool {
	switch {
	case b.ID != 0 && m.ID != 0:
		return m.ID > b.ID
	case !b.Time.IsZero() && !m.Date.Time.IsZero():
		return !m.Date.Time.Before(b.Time)
	}
	return true
}

// before reports whether a message comes before the bound: an id and a time are both
// exclusive. A message without the field that the bound compares counts as before it.
func (b Bound) before(m proto.Message) bool {
	switch {
	case b.ID != 0 && m.ID != 0:
		return m.ID < b.ID
	case !b.Time.IsZero() && !m.Date.Time.IsZero():
		return m.Date.Time.Before(b.Time)
	}
	return true
}
