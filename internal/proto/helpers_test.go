package proto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// recorded is testdata/libskaro-0.3-frames.json: frames recorded between
// libskaro 0.3 and a loopback server.
type recorded struct {
	Frames []struct {
		From  string         `json:"from"`
		Hex   string         `json:"hex"`
		Value map[string]any `json:"value"`
		Note  string         `json:"note"`
	} `json:"frames"`
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// plain turns a value of either decoder into one that compares: integers as
// their decimal text.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = plain(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = plain(e)
		}
		return l
	case uint64, int64, int, json.Number:
		return fmt.Sprint(v)
	}
	return v
}

func enc(t testing.TB, v any) []byte {
	t.Helper()
	b, err := encMode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// framesOf decodes the recorded frames of the server that have a type.
func framesOf(t *testing.T, typ string) []Frame {
	t.Helper()
	var rec recorded
	readJSON(t, "libskaro-0.3-frames.json", &rec)
	var frames []Frame
	for _, r := range rec.Frames {
		if r.From != "server" {
			continue
		}
		raw, err := hex.DecodeString(r.Hex)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type() == typ {
			frames = append(frames, f)
		}
	}
	if frames == nil {
		t.Fatalf("no recorded frame of type %s", typ)
	}
	return frames
}

// allocated returns how many bytes do allocates. Unlike its time, that does not depend on the
// machine.
func allocated(do func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// readEverything calls every reader of a frame.
func readEverything(b []byte) {
	f, err := Decode(b)
	if err != nil {
		return
	}
	_, _ = ParseGreeting(f)
	if r, err := ParseReply(f); err == nil {
		ParseSent(r)
		r.RetryAfter()
	}
	_, _ = ParseContacts(f)
	_, _ = ParseMessages(f, "history")
	ParseMessage(f).Fields.Values()
	ParseContact(f)
	ParseSendMessage(f)
	for name := range f.all() {
		f.Value(name)
	}
	f.Describe()
}
