package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

const (
	listenMessages = 1_000_000
	// listenRounds are the pairs of runs. mosquitto_sub gets fewer messages: its
	// rate does not depend on their number.
	listenRounds    = 3
	listenPeer      = 200_000
	latencyMessages = 2_000
	listenBlock     = 64 << 10
	firstID         = 1 << 32 // so that every id has the same length in CBOR
	webSocketBinary = 0x82    // the last frame of a binary message (RFC 6455, 5.2)
	mqttPublish     = 0x30    // PUBLISH, QoS 0 (MQTT 3.1.1, 3.3)
	mqttTopic       = "skaro/alice"
)

// source is a server for one client, which hands over the bare connection as soon
// as the client is ready for messages.
type source struct {
	listener net.Listener
	ready    chan net.Conn
	message  func(buf []byte, i int) []byte // appends a message as it goes over the wire
}

// subscriber is a program that writes a line for every message that it is pushed.
type subscriber struct {
	name    string
	source  func() (*source, error)
	command func(ctx context.Context, l *lab, s *source) (*exec.Cmd, error)
}

// listen measures how fast pushed messages become lines on a pipe.
func listen(ctx context.Context, l *lab, r *report) error {
	ours := subscriber{"skaroctl listen -o json", skaroSource, func(ctx context.Context, l *lab, s *source) (*exec.Cmd, error) {
		// No pings: nothing but this program's blocks may be written to the connection.
		token, err := proto.NewToken(password)
		if err != nil {
			return nil, err
		}
		env := []string{"SKAROCTL_TOKEN=" + token.Text(), "SKAROCTL_LOGIN=alice", "SKAROCTL_SERVER=ws://" + s.listener.Addr().String() + "/skaro_client/"}
		return l.command(ctx, env, l.skaroctl, "listen", "-o", "json", "--ping-interval", "1h"), nil
	}}
	theirs := subscriber{"mosquitto_sub -F %j", mqttSource, func(ctx context.Context, l *lab, s *source) (*exec.Cmd, error) {
		path, err := exec.LookPath("mosquitto_sub")
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(s.listener.Addr().String())
		return l.command(ctx, nil, path, "-h", "127.0.0.1", "-p", port, "-k", "3600", "-t", mqttTopic, "-F", "%j"), nil
	}}
	_, err := exec.LookPath("mosquitto_sub")
	havePeer := err == nil
	if !havePeer {
		r.lacks("mosquitto_sub", "apt-get install mosquitto-clients")
	}
	var our, their, memory []float64
	for range listenRounds {
		rate, mib, err := l.throughput(ctx, ours, listenMessages)
		if err != nil {
			return err
		}
		our, memory = append(our, rate), append(memory, mib)
		if !havePeer {
			continue
		}
		if rate, _, err = l.throughput(ctx, theirs, listenPeer); err != nil {
			return err
		}
		their = append(their, rate)
	}
	r.atLeast("listen: messages a second", median(our), 100_000, "%.0f")
	if havePeer {
		r.note("listen: mosquitto_sub, messages a second", "%.0f", median(their))
		r.atLeast("listen: skaroctl to mosquitto_sub", pairs(our, their, ratio), 1.5, "%.2f times")
	}
	r.atMost(fmt.Sprintf("listen: peak memory, %d messages", listenMessages), median(memory), 25, "%.1f MiB")
	delay, err := l.latency(ctx, ours)
	if err != nil {
		return err
	}
	r.atMost("listen: from server write to line", delay, 2, "%.2f ms")
	if havePeer {
		if delay, err = l.latency(ctx, theirs); err != nil {
			return err
		}
		r.note("listen: the same, mosquitto_sub", "%.2f ms", delay)
	}
	return nil
}

// attach starts the program on a source of its own, and waits until it is ready.
func (l *lab) attach(ctx context.Context, p subscriber) (s *source, conn net.Conn, out *os.File, c *exec.Cmd, err error) {
	if s, err = p.source(); err != nil {
		return
	}
	defer s.listener.Close() // one client is enough
	if c, err = p.command(ctx, l, s); err != nil {
		return
	}
	out, in, err := os.Pipe()
	if err != nil {
		return
	}
	c.Stdout = in
	err = c.Start()
	in.Close()
	if err != nil {
		out.Close()
		return
	}
	select {
	case conn = <-s.ready:
	case <-time.After(patience):
		err = errors.New("it did not connect")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		out.Close()
		end(c)
		err = l.failed(c, err)
	}
	return
}

// throughput pushes n messages as fast as they are read, and counts the lines on
// the pipe. The rate is in messages a second, the peak memory in MiB.
func (l *lab) throughput(ctx context.Context, p subscriber, n int) (rate, mib float64, err error) {
	s, conn, out, c, err := l.attach(ctx, p)
	if err != nil {
		return 0, 0, err
	}
	defer end(c)
	defer out.Close()
	defer conn.Close()
	start := time.Now()
	go func() {
		buf := make([]byte, 0, 2*listenBlock)
		for i := range n {
			buf = s.message(buf, i)
			if len(buf) >= listenBlock || i == n-1 {
				if _, err := conn.Write(buf); err != nil {
					return // its reader has gone, and the count below notices
				}
				buf = buf[:0]
			}
		}
	}()
	block := make([]byte, listenBlock)
	for lines := 0; lines < n; {
		k, err := out.Read(block)
		if err != nil {
			return 0, 0, l.failed(c, fmt.Errorf("%d of %d lines came: %w", lines, n, err))
		}
		lines += bytes.Count(block[:k], []byte{'\n'})
	}
	took := time.Since(start)
	return float64(n) / took.Seconds(), peak(c.Process.Pid), nil
}

// latency pushes one message at a time, each after the line of the previous one, and
// returns the median time from write to line, in milliseconds.
func (l *lab) latency(ctx context.Context, p subscriber) (float64, error) {
	s, conn, out, c, err := l.attach(ctx, p)
	if err != nil {
		return 0, err
	}
	defer end(c)
	defer out.Close()
	defer conn.Close()
	lines := bufio.NewReader(out)
	var took []float64
	for i := range latencyMessages {
		time.Sleep(time.Millisecond) // so that the program is idle, as a listener mostly is
		start := time.Now()
		if _, err := conn.Write(s.message(nil, i)); err != nil {
			return 0, err
		}
		if _, err := lines.ReadSlice('\n'); err != nil {
			return 0, l.failed(c, err)
		}
		took = append(took, milliseconds(time.Since(start)))
	}
	return median(took), nil
}

// skaroSource is a Skaro server that answers as skarod does, and then leaves the
// connection to its caller.
func skaroSource() (*source, error) {
	fields := proto.Message{ID: firstID, Date: proto.Date{Time: time.Now()}, From: "bob", To: "alice", Body: text}.Map()
	fields["type"] = proto.TypeShowMessage
	frame, err := proto.Encode(fields)
	if err != nil {
		return nil, err
	}
	id := binary.BigEndian.AppendUint64([]byte{0x1b}, firstID) // an integer of eight bytes (RFC 8949, 3)
	at := bytes.Index(frame, id) + 1
	if at == 0 || len(frame) < 126 || len(frame) > 0xffff {
		return nil, errors.New("the message is not as long as the code expects")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &source{listener: listener, ready: make(chan net.Conn, 1), message: func(buf []byte, i int) []byte {
		buf = append(buf, webSocketBinary, 126)
		buf = binary.BigEndian.AppendUint16(buf, uint16(len(frame)))
		start := len(buf)
		buf = append(buf, frame...)
		binary.BigEndian.PutUint64(buf[start+at:], firstID+uint64(i))
		return buf
	}}
	type connKey struct{}
	server := &http.Server{
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			if greet(r.Context(), ws) == nil {
				s.ready <- r.Context().Value(connKey{}).(net.Conn)
			}
		}),
	}
	go func() { _ = server.Serve(listener) }()
	return s, nil
}

// greet plays the server until the listener has asked for its position.
func greet(ctx context.Context, ws *websocket.Conn) error {
	say := func(fields map[string]any) error {
		frame, err := proto.Encode(fields)
		if err != nil {
			return err
		}
		return ws.Write(ctx, websocket.MessageBinary, frame)
	}
	greeting := map[string]any{"type": proto.TypeGreeting, "token": "challenge", "server": "bench", "extensions": []string{proto.ExtUpdates}}
	if err := say(greeting); err != nil {
		return err
	}
	for {
		_, b, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		f, err := proto.Decode(b)
		if err != nil {
			return err
		}
		n, _ := f.Int("on_request")
		err = say(map[string]any{
			"type": proto.TypeReply, "for": f.Type(), "id": n, "status": "200 OK",
			"session_id": "S", "user": map[string]any{"login": "alice"}, "messages": []any{}, "last_id": 1, "more": false,
		})
		if err != nil || f.Type() == proto.TypeGetUpdates {
			return err
		}
	}
}

// mqttSource is an MQTT 3.1.1 server for one subscriber, which it sends QoS 0.
func mqttSource() (*source, error) {
	packet := append(binary.BigEndian.AppendUint16(nil, uint16(len(mqttTopic))), mqttTopic...)
	packet = append(packet, text...)
	if len(packet) > 127 {
		return nil, errors.New("the message is longer than the code expects")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &source{listener: listener, ready: make(chan net.Conn, 1), message: func(buf []byte, _ int) []byte {
		buf = append(buf, mqttPublish, byte(len(packet)))
		return append(buf, packet...)
	}}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		if subscribed(conn) != nil {
			conn.Close()
			return
		}
		s.ready <- conn
	}()
	return s, nil
}

// subscribed answers CONNECT and SUBSCRIBE (MQTT 3.1.1, 3.1 and 3.8).
func subscribed(conn net.Conn) error {
	packet := func() ([]byte, error) {
		header := make([]byte, 2)
		if _, err := io.ReadFull(conn, header); err != nil {
			return nil, err
		}
		if header[1] > 127 {
			return nil, errors.New("the packet is longer than a subscriber needs")
		}
		body := make([]byte, header[1])
		_, err := io.ReadFull(conn, body)
		return body, err
	}
	if _, err := packet(); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{0x20, 2, 0, 0}); err != nil { // CONNACK: accepted
		return err
	}
	subscribe, err := packet()
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte{0x90, 3, subscribe[0], subscribe[1], 0}) // SUBACK: QoS 0
	return err
}
