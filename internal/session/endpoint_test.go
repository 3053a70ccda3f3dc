package session

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheckHintsAtTheRightURL(t *testing.T) {
	for url, c := range map[string]struct{ says, hint string }{
		"ws://127.0.0.1:8765/skaro_client/": {}, "ws://localhost/": {}, "ws://[::1]:1/x": {}, "ws://LOCALHOST./": {}, "wss://chat.example.org/x": {},
		"ws://127.1.2.3/":              {},
		"unix:/run/skarod/skarod.sock": {}, "unix:/a folder/x@y.sock": {},
		"unix:skarod.sock":                       {"no absolute path", "like unix:/run/"},
		"unix:":                                  {"no absolute path", "like unix:/run/"},
		"unix:/a\nb":                             {"no absolute path", "like unix:/run/"},
		"ws://chat.example.org/x":                {"not encrypted", "--allow-plaintext"},
		"ws://localhost.example.org/":            {"not encrypted", "wss://"},
		"http://chat.example.org":                {"http://", "wss://chat.example.org/skaro_client/"},
		"http://localhost:8765":                  {"http://", " ws://localhost:8765/skaro_client/"},
		"https://chat.example.org/x/":            {"https://", "wss://chat.example.org/x/"},
		"chat.example.org":                       {"does not start with", "wss://chat.example.org/skaro_client/"},
		"localhost:8765":                         {"does not start with", "ws://localhost:8765/skaro_client/"},
		"127.0.0.1:8765/x/":                      {"does not start with", "ws://127.0.0.1:8765/x/"},
		"alice:secret@chat.example.org":          {"does not start with", "give a server URL like"},
		"wss://chat.example.org/skaro_client/ ":  {"contains white space", "give a server URL like"},
		"wss://chat.example.org/skaro client/":   {"contains white space", "give a server URL like"},
		"ws:/127.0.0.1:8765/skaro_client/":       {"does not start with", "did you mean ws://127.0.0.1:8765/skaro_client/ ?"},
		"wss:chat.example.org":                   {"does not start with", "did you mean wss://chat.example.org/skaro_client/ ?"},
		"https:/chat.example.org/x/":             {"does not start with", "did you mean wss://chat.example.org/x/ ?"},
		"ftp://x/":                               {"does not start with", "give a server URL like"},
		"wss:///x":                               {"no host", "give a server URL like"},
		"wss://alice:secret@chat.example.org/x":  {"user name", "--server"},
		"https://alice:secret@chat.example.org/": {"https://", "wss://"},
		"":                                       {"does not start", "give a server URL like"},
		"ws://bad host/":                         {"contains white space", "give a server URL like"},
	} {
		err := Endpoint{URL: url}.Check()
		if c.hint == "" {
			if err != nil {
				t.Errorf("%s: %v", url, err)
			}
			continue
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindEndpoint || !strings.Contains(e.Msg, c.says) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %v", url, err)
		} else if strings.Contains(e.Msg+e.Hint, "secret") && strings.Contains(url, "://") {
			t.Errorf("%s: the error shows the password: %v", url, e)
		}
	}
	if err := (Endpoint{URL: "ws://chat.example.org/", AllowPlaintext: true}).Check(); err != nil {
		t.Error(err)
	}
}

func TestRefusedURLIsNotLookedUp(t *testing.T) {
	old := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = old })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a name was looked up")
		return nil, errors.New("no look-ups here")
	}}
	err := logIn(t, Endpoint{URL: "ws://chat.invalid/skaro_client/"})
	if !isKind(err, KindEndpoint) {
		t.Fatalf("got %v (%T), no error of KindEndpoint", err, err)
	}
}

// A password in the URL appears in no error.
func TestCheckShowsNoPassword(t *testing.T) {
	for _, url := range []string{
		"alice:secret@chat.example.org", "//alice:secret@chat.example.org/x", "wss:alice:secret@chat.example.org",
		"wss//alice:secret@chat.example.org", "wss://alice:secret%zz@chat.example.org/", "wss://alice:secret@bad host/",
		"ws://alice:secret@/x", "ws://alice:secret@:80/", "ws:///alice:secret@chat.example.org/", "http:///alice:secret@chat.example.org/",
		"http://alice:secret@chat.example.org/", "ws://alice:secret@chat.example.org/", "ftp://alice:secret@chat.example.org/", "wss://chat.example.org:secret/",
	} {
		err := Endpoint{URL: url}.Check()
		var e *Error
		if !errors.As(err, &e) || e.Kind != KindEndpoint || e.Hint == "" {
			t.Errorf("%s: got %v (%T)", url, err, err)
		} else if strings.Contains(e.Error()+e.Hint, "secret") {
			t.Errorf("%s: the error is %q, the hint %q", url, e, e.Hint)
		}
	}
}

// Only a Skaro URL without a path gets the usual one.
func TestCompleteURL(t *testing.T) {
	for url, want := range map[string]string{
		"wss://chat.example.org":                "wss://chat.example.org/skaro_client/",
		"ws://127.0.0.1:8765":                   "ws://127.0.0.1:8765/skaro_client/",
		"WSS://[::1]:8765":                      "WSS://[::1]:8765/skaro_client/",
		"wss://h?room=1":                        "wss://h/skaro_client/?room=1",
		"wss://h/":                              "wss://h/",
		"wss://h/chat":                          "wss://h/chat",
		"https://h":                             "https://h",
		"h":                                     "h",
		"wss://":                                "wss://",
		"wss://h:port":                          "wss://h:port",
		"":                                      "",
		"wss://chat.example.org/skaro_client/?": "wss://chat.example.org/skaro_client/?",
	} {
		if got := CompleteURL(url); got != want {
			t.Errorf("%q: got %q, want %q", url, got, want)
		}
	}
}

// FuzzEndpoint: a URL that passes leads to a host by ws or wss, unencrypted to this machine
// alone. An error never shows what may be a password, and completing twice changes nothing.
func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{
		"ws://127.0.0.1:8765", "wss://chat.example.org/skaro_client/", "ws://[::1]:1?x#y", "wss://u:s3cr3t@h/", "http://h", "h:1", "ws:/h", "ws://h\\@127.0.0.1/",
		"wss://h:0/", "wss://h:65536/", "WS://LOCALHOST./", "wss://%zz", "ws://127.0.0.1.example.org/", "ws://0x7f.1/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		whole := CompleteURL(raw)
		if CompleteURL(whole) != whole {
			t.Errorf("%q is completed to %q, and that to %q", raw, whole, CompleteURL(whole))
		}
		err := Endpoint{URL: whole}.Check()
		if err != nil {
			if before, _, isUser := strings.Cut(whole, "@"); isUser && len(before) > 20 && strings.Contains(err.Error(), before) {
				t.Errorf("%q: the error shows what is before the @: %v", whole, err)
			}
			return
		}
		u, parseErr := url.Parse(whole)
		if parseErr != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Hostname() == "" || u.User != nil {
			t.Fatalf("%q passes", whole)
		}
		if u.Scheme == "wss" {
			return
		}
		if addr, err := netip.ParseAddr(u.Hostname()); strings.TrimSuffix(strings.ToLower(u.Hostname()), ".") != "localhost" && (err != nil || !addr.Unmap().IsLoopback()) {
			t.Errorf("%q passes without encryption", whole)
		}
	})
}
