package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
	"github.com/skaroctl/skaroctl/internal/terminal"
)

// BenchmarkListen is the whole way of a message: from a server's socket to a line
// of JSON on a pipe with a reader.
func BenchmarkListen(b *testing.B) {
	frames := floodOf(b.N)
	url := flood(b, frames)
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	read := make(chan int, 1)
	go func() {
		lines := 0
		s := bufio.NewReaderSize(r, 1<<16)
		for {
			_, err := s.ReadSlice('\n')
			if err != nil {
				read <- lines
				return
			}
			lines++
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	streams := terminal.Streams{In: strings.NewReader(""), Out: w, Err: io.Discard}
	env := map[string]string{
		"SKAROCTL_TOKEN": newToken("x").Text(), "SKAROCTL_LOGIN": "alice", "SKAROCTL_SERVER": url, "HOME": b.TempDir(),
	}
	if code := run([]string{"listen", "-o", "json", "--count", strconv.Itoa(b.N)}, streams, func(name string) string { return env[name] }); code != 0 {
		b.Fatalf("exit status %d", code)
	}
	b.StopTimer()
	w.Close()
	if got := <-read; got != b.N {
		b.Errorf("%d lines of %d messages", got, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// floodOf is n messages as WebSocket frames of a server, one after the other.
func floodOf(n int) []byte {
	var out []byte
	now := time.Now()
	for i := 1; i <= n; i++ {
		fields := proto.Message{
			ID: int64(i), Date: proto.Date{Time: now.Add(time.Duration(i) * time.Microsecond)}, From: "bob", To: "alice", Body: "message " + strconv.Itoa(i) + " of the flood that is measured",
		}.Map()
		fields["type"] = proto.TypeShowMessage
		frame, err := proto.Encode(fields)
		if err != nil {
			panic(err)
		}
		out = append(out, 0x82)
		if len(frame) < 126 {
			out = append(out, byte(len(frame)))
		} else {
			out = append(out, 126)
			out = binary.BigEndian.AppendUint16(out, uint16(len(frame)))
		}
		out = append(out, frame...)
	}
	return out
}

// flood serves one listener with what floodOf made, in large writes.
func flood(b *testing.B, frames []byte) string {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var raw io.Writer
		ws, err := websocket.Accept(hijacked{w, &raw}, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		defer ws.CloseNow()
		ctx := context.Background()
		write := func(fields map[string]any) {
			frame, _ := proto.Encode(fields)
			_ = ws.Write(ctx, websocket.MessageBinary, frame)
		}
		write(map[string]any{"type": proto.TypeGreeting, "token": "T", "server": "flood", "extensions": []string{proto.ExtUpdates}})
		for {
			_, data, err := ws.Read(ctx)
			if err != nil {
				return
			}
			f, err := proto.Decode(data)
			if err != nil {
				return
			}
			id, _ := f.Int("on_request")
			reply := map[string]any{"type": proto.TypeReply, "for": f.Type(), "id": id, "status": proto.StatusOK, "session_id": "s", "user": map[string]any{"login": "alice"}}
			if f.Type() == proto.TypeGetUpdates {
				reply["last_id"], reply["messages"] = 0, []any{}
			}
			write(reply)
			if f.Type() == proto.TypeGetUpdates {
				for rest := frames; len(rest) > 0; {
					n := min(len(rest), 64<<10)
					if _, err := raw.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}
		}
	}))
	b.Cleanup(srv.Close)
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/"
}

// hijacked notes the connection that the WebSocket library takes over.
type hijacked struct {
	http.ResponseWriter
	raw *io.Writer
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := h.ResponseWriter.(http.Hijacker).Hijack()
	*h.raw = c
	return c, rw, err
}
