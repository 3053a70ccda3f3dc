package server

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// ask is the answer of the operator's address.
func (w *testServer) ask(path string) (status int, body string) {
	answer := httptest.NewRecorder()
	w.srv.Admin().Handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer.Code, answer.Body.String()
}

// metric is the value of a metric, or "".
func (w *testServer) metric(name string) string {
	w.t.Helper()
	status, body := w.ask("/metrics")
	if status != http.StatusOK {
		w.t.Fatalf("metrics: %d", status)
	}
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// total is the value of a counter.
func total(t testing.TB, c prometheus.Counter) int64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return int64(m.GetCounter().GetValue())
}

func TestMetricsCountWhatHappens(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Registration = RegistrationInvite; o.MaxConnections = 2 }, "alice", "bob")
	alice := w.login("alice")
	bob := w.login("bob")
	if _, _, err := websocket.Dial(t.Context(), "ws://"+w.addr+Path, nil); err == nil {
		t.Error("a connection too many")
	}
	alice.authorize("alice", "wrong")
	alice.request(proto.TypeRegister, map[string]any{"form": map[string]any{"login": "eve", "token": newToken("x").Text()}})
	alice.request("no_such_request", nil)
	alice.send("bob", "x")
	bob.message()
	bob.ws.CloseNow()
	w.left(1)
	w.dial()
	for name, want := range map[string]string{
		`skarod_connections{state="authenticated"}`: "1", `skarod_connections{state="unauthenticated"}`: "1",
		"skarod_users_online": "1", "skarod_sessions": "2", "skarod_connections_total": "3",
		"skarod_logins_total": "2", "skarod_messages_total": "1", "skarod_deliveries_total": "1", "skarod_delivery_seconds_count": "1",
		`skarod_refusals_total{status="503",what="connection"}`:   "1",
		`skarod_refusals_total{status="401",what="login"}`:        "1",
		`skarod_refusals_total{status="403",what="registration"}`: "1",
		`skarod_refusals_total{status="501",what="request"}`:      "1",
		"skarod_messages_in_flight":                               "0", "skarod_queued_frames": "0", "skarod_queued_bytes": "0", "skarod_unfinished_bytes": "0",
	} {
		if got := w.metric(name); got != want {
			t.Errorf("%s is %q, not %s", name, got, want)
		}
	}
	for _, name := range []string{"skarod_commit_seconds_count", "skarod_commit_writes_sum", "skarod_database_bytes", "skarod_disk_free_bytes"} {
		if got := w.metric(name); got == "" || got == "0" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if _, body := w.ask("/metrics"); !strings.Contains(body, `skarod_build_info{go="go`) || !strings.Contains(body, `version="test"} 1`) {
		t.Errorf("no build info in\n%s", body)
	}
}

// docs/operations.md describes every metric of skarod's own, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	w := newTestServer(t, nil)
	w.srv.countRefusal(refusedLogin, "401")
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(skarod_[a-z_]+)").FindAllStringSubmatch(string(manual), -1) {
		documented[m[1]] = true
	}
	_, body := w.ask("/metrics")
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (skarod_\S+)`).FindAllStringSubmatch(body, -1) {
		if !documented[m[1]] {
			t.Errorf("docs/operations.md does not have %s", m[1])
		}
		delete(documented, m[1])
	}
	for name := range documented {
		t.Errorf("docs/operations.md has %s, and the server has not", name)
	}
}

// /healthz says whether messages can be stored, and if not, why.
func TestHealthSaysWhyMessagesCantBeStored(t *testing.T) {
	w := newTestServer(t, nil, "alice")
	c := w.login("alice")
	check := func(status int, reason string) {
		t.Helper()
		if got, body := w.ask("/healthz"); got != status || !strings.Contains(body, reason) {
			t.Errorf("%d %q instead of %d %q", got, body, status, reason)
		}
	}
	check(http.StatusOK, "ok\n")

	w.srv.noteStored(fullDisk(t))
	check(http.StatusServiceUnavailable, "messages can't be stored: the disk is full")
	w.clock.Add(unstorableTime)
	check(http.StatusOK, "ok\n") // nobody has tried since
	w.srv.noteStored(fullDisk(t))
	c.send("alice", "there is room again")
	check(http.StatusOK, "ok\n")

	unlock := w.lockDatabase()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := w.srv.Health(ctx); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("with a locked database: %v", err)
	}
	unlock()
	eventually(t, "it answers again", func() bool { status, _ := w.ask("/healthz"); return status == http.StatusOK })

	if err := os.Rename(w.path, w.path+".moved"); err != nil {
		t.Skipf("this system moves no open file: %v", err)
	}
	check(http.StatusServiceUnavailable, "the database was moved or removed")
	if r := c.request(proto.TypeSendMessage, map[string]any{"to": "alice", "body": "x"}); code(r) != "500" {
		t.Errorf("a message is stored nowhere: %s", r.Status)
	}
	if n := w.metric(`skarod_refusals_total{status="500",what="request"}`); n != "1" {
		t.Errorf("%s requests failed", n)
	}
	if err := os.Rename(w.path+".moved", w.path); err != nil {
		t.Fatal(err)
	}
	check(http.StatusServiceUnavailable, "the database was moved or removed") // the last message is not stored
	c.send("alice", "x")
	check(http.StatusOK, "ok\n")
	w.stop()
	check(http.StatusServiceUnavailable, "the store is closed")
}

// fullDisk is the error of SQLite for a full disk.
func fullDisk(t *testing.T) error {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "full")+"?_pragma=max_page_count(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000))")
	if err == nil {
		t.Fatal("SQLite knows no full disk")
	}
	return err
}

// lockDatabase locks the database as another process would.
func (w *testServer) lockDatabase() (unlock func()) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	conn, err := db.Conn(w.t.Context())
	if err == nil {
		_, err = conn.ExecContext(w.t.Context(), "BEGIN IMMEDIATE")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			w.t.Error(fmt.Errorf("unlock: %w", err))
		}
	}
}

// A page of another site can't read the metrics through a name that leads to a loopback address.
func TestAdminOfALoopbackAddressHasNoOtherName(t *testing.T) {
	admin := newTestServer(t, nil).srv.Admin().Handler
	for _, x := range []struct {
		at     net.Addr
		host   string
		status int
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9765}, "127.0.0.1:9765", 200},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9765}, "localhost:9765", 200},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, "LOCALHOST", 200},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 9765}, "[::1]:9765", 200},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 80}, "[::1]", 200},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9765}, "rebound.invalid:9765", 421},
		{&net.TCPAddr{IP: net.IPv6loopback, Port: 80}, "rebound.invalid", 421},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9765}, "127.0.0.1.rebound.invalid:9765", 421},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 9765}, "skarod:9765", 200},
		{&net.UnixAddr{Name: "admin.sock", Net: "unix"}, "skarod", 200},
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = x.host
		answer := httptest.NewRecorder()
		admin.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, x.at)))
		if answer.Code != x.status {
			t.Errorf("Host %s at %s: %d, want %d", x.host, x.at, answer.Code, x.status)
		}
	}
}

// The address of the operator takes a bounded number of connections: any program on this machine may
// reach it. One that ends makes room.
func TestAdminHasFewConnections(t *testing.T) {
	w := newTestServer(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin, served := w.srv.Admin(), make(chan error, 1)
	go func() { served <- admin.Serve(w.srv.AdminListener(l)) }()
	t.Cleanup(func() {
		admin.Close()
		<-served
	})
	// get asks on a new connection, which stays open.
	get := func() (c net.Conn, ok bool) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = http.ReadResponse(bufio.NewReader(c), nil)
		return c, err == nil
	}
	var first net.Conn
	for n := range maxAdmin + 3 {
		c, ok := get()
		if ok != (n < maxAdmin) {
			t.Errorf("connection %d is answered: %v", n+1, ok)
		}
		if n == 0 {
			first = c
		}
	}
	w.srv.bursts.log(w.srv.o.Log)
	if want := `msg="connection refused" address=local count=2 reason="at most 16 connections to --admin"`; !strings.Contains(w.log.String(), want) {
		t.Errorf("no %s in the log:\n%s", want, w.log.String())
	}
	first.Close()
	for ok := false; !ok; { // until the server has seen it
		_, ok = get()
	}
}
