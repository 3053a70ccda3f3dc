package session

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// titled makes fields with a title.
func titled(t *testing.T, title string) proto.Fields {
	t.Helper()
	f, err := proto.NewFields(map[string]any{proto.FieldTitle: title})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A server that would drop the fields gets no message that has some; the others arrive.
func TestOutboxSendsFieldsOnlyToServersThatHaveThem(t *testing.T) {
	fields := titled(t, "Disk full")
	for _, extension := range []bool{true, false} {
		sent := make(chan proto.Outgoing, 3)
		url := serve(t, func(p *peer) {
			if extension {
				p.login(proto.ExtFields)
			} else {
				p.login()
			}
			for {
				f, ok := p.recv()
				if !ok {
					return
				}
				sent <- proto.ParseSendMessage(f)
				p.reply(f, "200 OK", nil)
			}
		})
		ch := make(chan Message, 3)
		for i, f := range []proto.Fields{"", fields, ""} {
			ch <- Message{To: "bob", Body: "x", Fields: f, Line: i + 1}
		}
		close(ch)
		got, err := run(bounded(t), outbox(url), ch)
		if err != nil || len(got) != 3 || got[0].State != StateConfirmed || got[2].State != StateConfirmed {
			t.Fatalf("%v, %+v", err, got)
		}
		close(sent)
		var all []proto.Fields
		for o := range sent {
			all = append(all, o.Fields)
		}
		switch {
		case extension && (len(all) != 3 || all[1] != fields || got[1].State != StateConfirmed):
			t.Errorf("%q were sent, %+v", all, got[1])
		case !extension && (len(all) != 2 || all[0]+all[1] != "" || got[1].State != StateRefused || !strings.Contains(got[1].Err.Error(), "lacks the extension fields")):
			t.Errorf("%q were sent, %+v", all, got[1])
		}
	}
}

// Optional fields are left out for a server that would drop them, and the message arrives.
func TestOutboxSendsOptionalFieldsOnlyToServersThatHaveThem(t *testing.T) {
	fields := titled(t, "Disk full")
	for _, extension := range []bool{true, false} {
		sent := make(chan proto.Fields, 1)
		url := serve(t, func(p *peer) {
			if extension {
				p.login(proto.ExtFields)
			} else {
				p.login()
			}
			if f, ok := p.recv(); ok {
				sent <- proto.ParseSendMessage(f).Fields
				p.reply(f, "200 OK", nil)
				p.recv()
			}
		})
		ch := make(chan Message, 1)
		ch <- Message{To: "bob", Body: "x", Fields: fields, FieldsOptional: true}
		close(ch)
		got, err := run(bounded(t), outbox(url), ch)
		if err != nil || len(got) != 1 || got[0].State != StateConfirmed {
			t.Fatalf("%v, %+v", err, got)
		}
		if f := <-sent; extension && f != fields || !extension && f != "" {
			t.Errorf("with the extension: %v; %q were sent", extension, f)
		}
	}
}

// If a server without fields takes the place of another, a message with fields that was sent
// and not confirmed is not sent again without them.
func TestOutboxDropsNoFieldsOnAnotherServer(t *testing.T) {
	var connections atomic.Int32
	url := serve(t, func(p *peer) {
		if connections.Add(1) == 1 {
			p.login(proto.ExtNonce, proto.ExtFields)
			p.recv()
			p.ws.CloseNow()
			return
		}
		p.login(proto.ExtNonce)
		if f, ok := p.recv(); ok {
			t.Errorf("sent again: %s", f.Describe())
		}
	})
	ch := make(chan Message, 1)
	ch <- Message{To: "bob", Body: "x", Fields: titled(t, "Disk full")}
	close(ch)
	got, err := run(bounded(t), outbox(url), ch)
	if err != nil || len(got) != 1 || got[0].State != StateUnknown || !strings.Contains(got[0].Err.Error(), "lacks the extension fields") {
		t.Errorf("%v, %+v", err, got)
	}
}
