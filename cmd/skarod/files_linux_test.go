package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// When clients have taken every connection, the server still has descriptors for its files: users who
// are logged in are served, and the log says why others are not.
func TestConnectionsLeaveDescriptors(t *testing.T) {
	data := t.TempDir()
	addUsers(t, data, "alice")
	// The shell sets the limit of the program that replaces it.
	p := startCommand(t, "sh", "-c", `ulimit -n 100; exec "$0" "$@"`, program(t), "serve", "--listen", "127.0.0.1:0", "--data", data, "--limit", "http-time=1h")
	alice := p.login("alice")
	const others, accepted = 110, 49 // with alice's, half of the descriptors
	ended := make(chan error, others)
	for range others {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(longWait))
		go func() {
			_, err := c.Read(make([]byte, 1)) // the server says nothing
			ended <- err
		}()
	}
	for range others - accepted {
		if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a connection lives on without a descriptor")
		}
	}
	for id := range int64(20) {
		if r := alice.request(100+2*id, proto.TypeSendMessage, map[string]any{"to": "alice", "body": "x"}); !r.OK() {
			t.Errorf("send: %s", r.Fields.Describe())
		}
		if r := alice.request(101+2*id, proto.TypeGetHistory, map[string]any{"login": "alice"}); !r.OK() {
			t.Errorf("history: %s", r.Fields.Describe())
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{`level=WARN msg="the limit of open files leaves room for fewer connections" max-connections=10000 room=50 open_files=100`, `reason="the limit of open files leaves no room"`} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, p.log.String())
		}
	}
}
