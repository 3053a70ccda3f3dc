package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// peakMemory is the largest resident memory of the process so far, in bytes.
func (p *process) peakMemory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return kib << 10
}

// halfFrame is an unauthenticated connection that has sent the beginning of a frame and
// nothing more. It waits until the server has read it, or has ended the connection.
func (p *process) halfFrame(size int) (net.Conn, error) {
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(longWait)); err != nil {
		return c, err
	}
	fmt.Fprintf(c, "GET /skaro_client/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	r := bufio.NewReaderSize(c, 1024)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return c, fmt.Errorf("no handshake: %v, %v", resp, err)
	}
	// The first fragment of a binary message, masked with zeros; then a ping, which is answered
	// when the fragment has been read.
	fragment := binary.BigEndian.AppendUint64([]byte{0x02, 0xff}, uint64(size))
	fragment = append(fragment, make([]byte, 4+size)...)
	go c.Write(append(fragment, 0x89, 0x80, 0, 0, 0, 0))
	for {
		header := make([]byte, 4)
		if _, err := io.ReadFull(r, header[:2]); err != nil || header[0] == 0x8a {
			return c, nil // the pong, or the end
		}
		length := int64(header[1])
		if length == 126 {
			if _, err := io.ReadFull(r, header[2:]); err != nil {
				return c, nil
			}
			length = int64(binary.BigEndian.Uint16(header[2:]))
		}
		if _, err := io.CopyN(io.Discard, r, length); err != nil || header[0] == 0x88 {
			return c, nil
		}
	}
}

// A thousand unauthenticated clients with half a frame each cost little memory, and an honest user
// is served.
func TestUnfinishedFramesCostLittle(t *testing.T) {
	for name, size := range map[string]int{"as much as is taken": 12 << 10, "half a MiB": 512 << 10} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			addUsers(t, data, "alice", "bob")
			p := startServer(t, data)
			const clients, atOnce = 1000, 20
			var conns sync.Map
			var making sync.WaitGroup
			for i := range atOnce {
				making.Go(func() {
					for n := i; n < clients; n += atOnce {
						c, err := p.halfFrame(size)
						if err != nil {
							t.Error(err)
							return
						}
						conns.Store(n, c)
					}
				})
			}
			making.Wait()
			bob := p.login("bob")
			if r := p.login("alice").request(2, proto.TypeSendMessage, map[string]any{"to": "bob", "body": strings.Repeat("x", 200<<10)}); !r.OK() {
				t.Errorf("%s", r.Fields.Describe())
			}
			if f, err := bob.read(); err != nil || f.Type() != proto.TypeShowMessage {
				t.Errorf("%s, %v", f.Describe(), err)
			}
			peak := p.peakMemory()
			t.Logf("%d clients: peak of %d MiB", clients, peak>>20)
			if peak > 192<<20 {
				t.Errorf("%d clients take %d MiB", clients, peak>>20)
			}
			conns.Range(func(_, c any) bool { c.(net.Conn).Close(); return true })
		})
	}
}
