package e2e

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/skaroctl/skaroctl/internal/proto"
)

// TestRelayedChallengeLogsIn: the protocol does not protect from a false server that passes
// on the challenge of the real one. The answer of skaroctl logs the false server in as the
// user (docs/security.md).
func TestRelayedChallengeLogsIn(t *testing.T) {
	statSources(t)
	dir := t.TempDir()
	url := serveAlice(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	status := make(chan string, 1) // of the login at the real server
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		theirs, _, err := websocket.Dial(ctx, url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer theirs.CloseNow()
		ours, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer ours.CloseNow()
		pass := func(from, to *websocket.Conn) []byte {
			_, frame, err := from.Read(ctx)
			if err == nil && to != nil {
				err = to.Write(ctx, websocket.MessageBinary, frame)
			}
			if err != nil {
				t.Error(err)
			}
			return frame
		}
		pass(theirs, ours) // the greeting, with the challenge
		pass(ours, theirs) // the login
		answer, err := proto.Decode(pass(theirs, nil))
		if err != nil {
			t.Error(err)
		}
		status <- answer.Text("status")
	}))
	defer fake.Close()
	cmd := exec.CommandContext(ctx, "skaroctl", "contacts", "--server", "ws"+strings.TrimPrefix(fake.URL, "http"))
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_STATE_HOME="+dir, "XDG_CACHE_HOME="+dir, "SKAROCTL_LOGIN=alice", "SKAROCTL_TOKEN="+newToken("correct horse").Text())
	out, _ := cmd.CombinedOutput() // the false server hangs up
	select {
	case got := <-status:
		if got != proto.StatusOK {
			t.Errorf("the real server answered %s", got)
		}
	default:
		t.Errorf("the false server has no answer: %s", out)
	}
}

// serveAlice runs skarod with the account alice until the end of the test, and returns its URL.
func serveAlice(t *testing.T, dir string) string {
	t.Helper()
	data := filepath.Join(dir, "data")
	add := exec.Command("skarod", "user", "add", "--data", data, "--password-stdin", "alice")
	add.Stdin = strings.NewReader("correct horse\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	serve := exec.Command("skarod", append([]string{"serve", "--listen", freeAddress(), "--data", data}, patientServer...)...)
	log, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	re := regexp.MustCompile(serverURL)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if match := re.FindString(lines.Text()); match != "" {
			return match
		}
	}
	t.Fatal("skarod ended")
	return ""
}
