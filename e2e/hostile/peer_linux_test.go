package hostile

import (
	"bufio"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/fxamacker/cbor/v2"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// stage is how far a connection has come.
type stage int

const (
	connected stage = iota // the client has connected
	asked                  // it has asked for a WebSocket
	upgraded               // it has got one, and waits for the greeting
	loggingIn              // it has sent its login
	answering              // it has sent any other request
)

// act is one thing that a peer does.
type act func(*peer)

// trick is what a peer does that a server would not do.
type trick struct {
	at     stage
	acts   []act
	before bool // then go on as a server; otherwise the acts replace what a server does there
	plain  bool // the greeting names no extensions
	nonces bool // it names the one that makes a message safe to send again too
	tls    *tls.Config
}

func onConnect(acts ...act) trick      { return trick{at: connected, acts: acts} }
func onHTTP(acts ...act) trick         { return trick{at: asked, acts: acts} }
func onUpgrade(acts ...act) trick      { return trick{at: upgraded, acts: acts} }
func onLogin(acts ...act) trick        { return trick{at: loggingIn, acts: acts} }
func onRequest(acts ...act) trick      { return trick{at: answering, acts: acts} }
func beforeGreet(acts ...act) trick    { return trick{at: upgraded, acts: acts, before: true} }
func beforeLogin(acts ...act) trick    { return trick{at: loggingIn, acts: acts, before: true} }
func beforeReply(acts ...act) trick    { return trick{at: answering, acts: acts, before: true} }
func withNonces(acts ...act) trick     { return trick{at: answering, acts: acts, nonces: true} }
func onTLS(acts ...act) trick          { return trick{at: connected, acts: acts, tls: &tls.Config{}} }
func overTLS(config *tls.Config) trick { return trick{at: connected, before: true, tls: config} }

// peer is the server's side of one connection. Its writes ignore errors: the client may
// have gone.
type peer struct {
	trick   trick
	c       net.Conn
	in      *bufio.Reader
	key     string      // of the WebSocket handshake
	request proto.Frame // which waits for its reply
	slow    bool        // every byte is a packet
}

// serve speaks to one client until it goes.
func (p *peer) serve() {
	if p.plays(connected) {
		return
	}
	r, err := http.ReadRequest(p.in)
	if err != nil {
		return
	}
	p.key = r.Header.Get("Sec-WebSocket-Key")
	if p.plays(asked) {
		return
	}
	p.upgrade()
	if !p.plays(upgraded) {
		p.greet()
	}
	for p.read() {
		at := answering
		if typ := p.request.Type(); typ == proto.TypeAuthorize || typ == proto.TypeSessionRestore {
			at = loggingIn
		}
		if !p.plays(at) {
			p.answer()
		}
	}
}

// plays does the trick if it belongs here, and reports whether it replaces what a server does.
func (p *peer) plays(at stage) bool {
	if p.trick.at != at {
		return false
	}
	for _, do := range p.trick.acts {
		do(p)
	}
	return !p.trick.before
}

func (p *peer) write(s string) {
	if !p.slow {
		_, _ = io.WriteString(p.c, s)
		return
	}
	for i := range len(s) {
		if _, err := io.WriteString(p.c, s[i:i+1]); err != nil {
			return
		}
	}
}

// upgrade answers the WebSocket handshake (RFC 6455, 4.2.2).
func (p *peer) upgrade() {
	p.write(switching + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + p.accept() + "\r\n\r\n")
}

const switching = "HTTP/1.1 101 Switching Protocols\r\n"

func (p *peer) accept() string {
	sum := sha1.Sum([]byte(p.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// read reads the next request into p.request, and answers pings. It reports whether there
// is one.
func (p *peer) read() bool {
	for {
		var head [2]byte
		if _, err := io.ReadFull(p.in, head[:]); err != nil {
			return false
		}
		size := uint64(head[1] & 0x7f)
		if n := map[uint64]int{126: 2, 127: 8}[size]; n > 0 {
			var more [8]byte
			if _, err := io.ReadFull(p.in, more[8-n:]); err != nil {
				return false
			}
			size = binary.BigEndian.Uint64(more[:])
		}
		body := make([]byte, 4+size) // the mask and the payload
		if _, err := io.ReadFull(p.in, body); err != nil {
			return false
		}
		for i := range body[4:] {
			body[4+i] ^= body[i%4]
		}
		switch head[0] & 0xf {
		case 8:
			return false
		case 9:
			p.write(ws(0x8a, string(body[4:])))
		case 2:
			f, err := proto.Decode(body[4:])
			p.request = f
			return err == nil
		}
	}
}

// fields is the reply of a server to the request.
func (p *peer) fields() map[string]any {
	number, _ := p.request.RequestNumber()
	fields := map[string]any{"type": "request", "for": p.request.Type(), "id": number, "status": "200 OK"}
	switch p.request.Type() {
	case proto.TypeAuthorize, proto.TypeSessionRestore:
		fields["session_id"], fields["user"] = "sid", raw(object("login", "alice"))
	case proto.TypeSendMessage:
		fields["message_id"], fields["date"], fields["to"] = 7, 1479394801, "bob"
	case proto.TypeGetContacts:
		fields["data"] = []raw{object("login", "bob")}
	case proto.TypeGetHistory:
		fields["history"], fields["more"] = []raw{message(5)}, false
	case proto.TypeGetUpdates:
		fields["messages"], fields["last_id"], fields["more"] = []raw{}, 5, false
	default:
		fields["user"] = raw(object("login", "bob"))
	}
	return fields
}

// answer answers the request as a server does. A message follows what a listener asks for.
func (p *peer) answer() {
	p.send(encode(p.fields()))
	if typ := p.request.Type(); typ == proto.TypeGetUpdates || typ == proto.TypeGetHistory {
		p.send(pushed(6))
	}
}

// greet sends the greeting of a server.
func (p *peer) greet() {
	switch {
	case p.trick.plain:
		p.send(object("type", "check_connection", "token", "T"))
	case p.trick.nonces:
		p.send(object("type", "check_connection", "token", "T", "server", "peer/1", "extensions", []string{"updates", "history-page", "nonce"}))
	default:
		p.send(greeting("T"))
	}
}

// send sends a Skaro frame.
func (p *peer) send(frame raw) { p.write(ws(0x82, string(frame))) }

// ws is an unmasked WebSocket frame (RFC 6455, 5.2).
func ws(head byte, payload string) string { return wsHead(head, len(payload)) + payload }

func wsHead(head byte, size int) string {
	switch {
	case size < 126:
		return string([]byte{head, byte(size)})
	case size < 1<<16:
		return string([]byte{head, 126, byte(size >> 8), byte(size)})
	}
	return string(binary.BigEndian.AppendUint64([]byte{head, 127}, uint64(size)))
}

// raw is one encoded CBOR item, or what pretends to be one.
type raw string

// object is a CBOR map of keys and values in that order.
func object(pairs ...any) raw {
	var b strings.Builder
	b.WriteString(string(head(5, len(pairs)/2)))
	for _, v := range pairs {
		b.WriteString(string(item(v)))
	}
	return raw(b.String())
}

// encode is a CBOR map. A value of gone is left out.
func encode(fields map[string]any) raw {
	var pairs []any
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if fields[key] != gone {
			pairs = append(pairs, key, fields[key])
		}
	}
	return object(pairs...)
}

const gone = raw("gone")

// item encodes one value.
func item(v any) raw {
	switch v := v.(type) {
	case raw:
		return v
	case []raw:
		return list(v...)
	}
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err) // the values are those of the tables
	}
	return raw(b)
}

func list(items ...raw) raw {
	text := head(4, len(items))
	for _, i := range items {
		text += i
	}
	return text
}

// tag is an item with a tag.
func tag(n int, v any) raw { return head(6, n) + item(v) }

// head is the start of a CBOR item (RFC 8949, 3).
func head(major byte, n int) raw {
	major <<= 5
	switch {
	case n < 24:
		return raw([]byte{major | byte(n)})
	case n < 1<<8:
		return raw([]byte{major | 24, byte(n)})
	case n < 1<<16:
		return raw(binary.BigEndian.AppendUint16([]byte{major | 25}, uint16(n)))
	case n < 1<<32:
		return raw(binary.BigEndian.AppendUint32([]byte{major | 26}, uint32(n)))
	}
	return raw(binary.BigEndian.AppendUint64([]byte{major | 27}, uint64(n)))
}

// greeting is one with the extensions that give ids and pages.
func greeting(token any, more ...any) raw {
	return object(append([]any{"type", "check_connection", "token", token, "server", "peer/1", "extensions", []string{"updates", "history-page"}}, more...)...)
}

// message is one with an id as it stands in a history.
func message(id any, more ...any) raw {
	return object(append([]any{"id", id, "date", 1479394801, "from", object("login", "bob"), "to", "alice", "body", "hi"}, more...)...)
}

// pushed is a message as a push.
func pushed(id any, more ...any) raw {
	return object(append([]any{"type", "show_message", "id", id, "date", 1479394801, "from", object("login", "bob"), "to", "alice", "body", "hi"}, more...)...)
}

// The acts.

// say sends bytes as they are.
func say(text string) act { return func(p *peer) { p.write(text) } }

// flood sends bytes until the client goes.
func flood(text string) act {
	return func(p *peer) {
		text := strings.Repeat(text, 1+(16<<10)/len(text))
		for {
			if _, err := io.WriteString(p.c, text); err != nil {
				return
			}
		}
	}
}

// repeat sends bytes n times.
func repeat(n int, text string) act {
	return func(p *peer) {
		out := bufio.NewWriterSize(p.c, 64<<10)
		for range n {
			if _, err := out.WriteString(text); err != nil {
				return
			}
		}
		out.Flush()
	}
}

// send sends a Skaro frame.
func send(frame raw) act { return func(p *peer) { p.send(frame) } }

// reply answers the request with other fields than a server would.
func reply(pairs ...any) act {
	return func(p *peer) {
		fields := p.fields()
		for i := 0; i < len(pairs); i += 2 {
			fields[pairs[i].(string)] = pairs[i+1]
		}
		p.send(encode(fields))
	}
}

// bulk answers the request with a field that has a head and n units. They are never all in
// memory here: this process must stay smaller than what it measures.
func bulk(field string, start raw, n int, unit raw) act {
	return func(p *peer) {
		fields := p.fields()
		delete(fields, field)
		rest := string(encode(fields))
		rest = string(head(5, len(fields)+1)) + rest[1:] + string(item(field)+start)
		p.write(wsHead(0x82, len(rest)+n*len(unit)) + rest)
		repeat(n, string(unit))(p)
	}
}

// large sends a frame with a start and n units.
func large(start raw, n int, unit raw) act {
	return func(p *peer) {
		p.write(wsHead(0x82, len(start)+n*len(unit)) + string(start))
		repeat(n, string(unit))(p)
	}
}

// answer answers as a server does.
func answer(p *peer) { p.answer() }

// nothing waits for what the client does next.
func nothing(*peer) {}

// stall reads until the client goes.
func stall(p *peer) { _, _ = io.Copy(io.Discard, p.in) }

// hangUp closes the connection.
func hangUp(p *peer) { p.c.Close() }

// halfClose ends what the peer sends, and goes on reading.
func halfClose(p *peer) { _ = p.c.(*net.TCPConn).CloseWrite() }

// reset closes the connection with a TCP reset.
func reset(p *peer) {
	_ = p.c.(*net.TCPConn).SetLinger(0)
	p.c.Close()
}

// slowly makes every byte that follows a packet of its own.
func slowly(p *peer) { p.slow = true }

// handshake answers the WebSocket handshake with other headers. %s is the right key.
func handshake(headers string) act {
	return func(p *peer) { p.write(switching + strings.ReplaceAll(headers, "%s", p.accept()) + "\r\n") }
}

// only does something for one type of request, and otherwise what a server does.
func only(typ string, do act) act {
	return func(p *peer) {
		if p.request.Type() == typ {
			do(p)
		} else {
			p.answer()
		}
	}
}

// server gives each connection a peer. Close ends them all.
type server struct {
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	closed   bool
	conns    []net.Conn
}

func newServer(t trick) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{listener: l}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !s.keep(c) {
				return
			}
			s.running.Go(func() {
				defer c.Close()
				if t.tls != nil && t.before {
					c = tls.Server(c, t.tls)
				}
				(&peer{trick: t, c: c, in: bufio.NewReader(c)}).serve()
			})
		}
	})
	return s, nil
}

// keep notes a connection for Close, or closes it if Close was called first.
func (s *server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	s.conns = append(s.conns, c)
	return true
}

// url is what the client is given.
func (s *server) url(t trick) string {
	scheme := "ws://"
	if t.tls != nil {
		scheme = "wss://"
	}
	return scheme + s.listener.Addr().String() + "/skaro_client/"
}

// Close ends every connection, and waits for its peer.
func (s *server) Close() {
	s.mu.Lock()
	s.closed = true
	s.listener.Close()
	for _, c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}
