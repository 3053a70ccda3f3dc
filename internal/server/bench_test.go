package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/store"
)

// BenchmarkSend is one connection that sends with 256 messages in flight, each
// confirmed when it is on disk.
func BenchmarkSend(b *testing.B) {
	st, err := store.Open(filepath.Join(b.TempDir(), "skarod.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	for _, login := range []string{"alice", "bob"} {
		if err := st.AddUser(login, proto.NewToken(login), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	o := DefaultOptions()
	o.Store = st
	s, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	h := &http.Server{Handler: s.Handler(), ConnContext: ConnContext}
	go func() { _ = h.Serve(Listener(l)) }()
	defer h.Close()
	ctx := context.Background()
	defer s.Close(ctx)
	ws, _, err := websocket.Dial(ctx, "ws://"+l.Addr().String()+Path, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer ws.CloseNow()
	recv := func() proto.Frame {
		_, raw, err := ws.Read(ctx)
		if err != nil {
			b.Fatal(err)
		}
		f, err := proto.Decode(raw)
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	send := func(typ string, id int, fields map[string]any) {
		frame, err := proto.EncodeRequest(typ, int64(id), fields)
		if err == nil {
			err = ws.Write(ctx, websocket.MessageBinary, frame)
		}
		if err != nil {
			b.Error(err)
		}
	}
	challenge := recv().Text("token")
	send(proto.TypeAuthorize, 1, map[string]any{"login": "alice", "password": proto.NewToken("alice").Answer(challenge)})
	recv()
	places := make(chan struct{}, 256)
	start := time.Now()
	b.ResetTimer()
	go func() {
		for i := range b.N {
			places <- struct{}{}
			send(proto.TypeSendMessage, i+2, map[string]any{"to": "bob", "body": "disk almost full on web1", "nonce": fmt.Sprintf("%032d", i)})
		}
	}()
	for range b.N {
		if f := recv(); f.Text("status") != proto.StatusOK {
			b.Fatal(f.Describe())
		}
		<-places
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msgs/s")
}
