package account

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaroctl/skaroctl/internal/proto"
)

func TestFromEnvironment(t *testing.T) {
	folder := t.TempDir()
	systemd := filepath.Join(folder, "systemd")
	if err := os.Mkdir(systemd, 0o700); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]proto.Token{}
	write := func(path string, mode fs.FileMode, text string) string {
		path = filepath.Join(folder, path)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := func(password string) string {
		tokens[password] = newToken(password)
		return tokens[password].Text()
	}
	private := write("private", 0o600, token("file")+"\n")
	readOnly := write("readonly", 0o400, token("readonly"))
	open := write("open for all", 0o644, token("open"))
	group := write("group", 0o640, token("group"))
	long := write("long", 0o600, strings.Repeat("x", tokenFileLimit+1))
	broken := write("broken", 0o600, "skaro-token-1:"+secretSID)
	write("systemd/skaroctl-token", 0o400, token("systemd"))
	exposed := filepath.Join(folder, "exposed")
	if err := os.Mkdir(exposed, 0o700); err != nil {
		t.Fatal(err)
	}
	write("exposed/skaroctl-token", 0o440, token("exposed"))
	var brokenText = "skaro-token-1:!" + secretSID

	for _, tt := range []struct {
		name   string
		env    map[string]string
		want   string // the password of the token
		source string
		err    []string
		hint   string
	}{
		{name: "nothing"},
		{name: "empty", env: map[string]string{"SKAROCTL_TOKEN": "", "SKAROCTL_TOKEN_FILE": ""}},
		{name: "text", env: map[string]string{"SKAROCTL_TOKEN": token("text")}, want: "text", source: "SKAROCTL_TOKEN"},
		{name: "text first", env: map[string]string{"SKAROCTL_TOKEN": token("text"), "SKAROCTL_TOKEN_FILE": private, "CREDENTIALS_DIRECTORY": systemd}, want: "text", source: "SKAROCTL_TOKEN"},
		{name: "file", env: map[string]string{"SKAROCTL_TOKEN_FILE": private, "CREDENTIALS_DIRECTORY": systemd}, want: "file", source: "SKAROCTL_TOKEN_FILE"},
		{name: "file that can't be written", env: map[string]string{"SKAROCTL_TOKEN_FILE": readOnly}, want: "readonly", source: "SKAROCTL_TOKEN_FILE"},
		{name: "systemd", env: map[string]string{"CREDENTIALS_DIRECTORY": systemd}, want: "systemd", source: "$CREDENTIALS_DIRECTORY/skaroctl-token"},
		{name: "systemd, and others can use it", env: map[string]string{"CREDENTIALS_DIRECTORY": exposed}, err: []string{"$CREDENTIALS_DIRECTORY/skaroctl-token: ", "0440"}, hint: "chmod 600 " + exposed},
		{name: "other credentials only", env: map[string]string{"CREDENTIALS_DIRECTORY": folder}},
		{name: "broken text", env: map[string]string{"SKAROCTL_TOKEN": brokenText}, err: []string{"SKAROCTL_TOKEN: "}, hint: "--print-token"},
		{name: "broken text before a good file", env: map[string]string{"SKAROCTL_TOKEN": secretSID, "SKAROCTL_TOKEN_FILE": private}, err: []string{"SKAROCTL_TOKEN: "}, hint: "--print-token"},
		{name: "broken file", env: map[string]string{"SKAROCTL_TOKEN_FILE": broken}, err: []string{"SKAROCTL_TOKEN_FILE: "}, hint: "--print-token"},
		{name: "long file", env: map[string]string{"SKAROCTL_TOKEN_FILE": long}, err: []string{"SKAROCTL_TOKEN_FILE: ", long, "too long"}, hint: "--print-token"},
		{name: "no file", env: map[string]string{"SKAROCTL_TOKEN_FILE": "/none.invalid", "CREDENTIALS_DIRECTORY": systemd}, err: []string{"SKAROCTL_TOKEN_FILE: ", "/none.invalid"}},
		{name: "folder", env: map[string]string{"SKAROCTL_TOKEN_FILE": folder}, err: []string{"SKAROCTL_TOKEN_FILE: ", folder}},
		{name: "open file", env: map[string]string{"SKAROCTL_TOKEN_FILE": open}, err: []string{"SKAROCTL_TOKEN_FILE: ", open, "0644"}, hint: "chmod 600 '" + open + "'"},
		{name: "group file", env: map[string]string{"SKAROCTL_TOKEN_FILE": group}, err: []string{"0640"}, hint: "run `chmod 600 " + group},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.hint, "chmod") && !modesMatter {
				t.Skip("SKIPPED: modes say nothing on this platform")
			}
			got, ok, err := FromEnvironment(func(name string) string { return tt.env[name] })
			if tt.err != nil {
				if err == nil || ok {
					t.Fatalf("%+v, %v", got, ok)
				}
				for _, part := range tt.err {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error has no %q: %v", part, err)
					}
				}
				if strings.Contains(err.Error(), secretSID) {
					t.Errorf("the error quotes the token: %v", err)
				}
				if !strings.Contains(hintOf(err), tt.hint) {
					t.Errorf("hint %q", hintOf(err))
				}
				return
			}
			got.path = ""
			want := Environment{Token: tokens[tt.want], Source: tt.source}
			if err != nil || ok != (tt.want != "") || got != want {
				t.Errorf("%+v, %v, %v", got, ok, err)
			}
		})
	}
}

// A token file is read again for each login. While it is being replaced, the error is a
// temporary one.
func TestTokenFileIsReread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(newToken("old").Text())
	env, ok, err := FromEnvironment(func(name string) string { return map[string]string{"SKAROCTL_TOKEN_FILE": path}[name] })
	if err != nil || !ok || env.Token != newToken("old") {
		t.Fatalf("%+v, %v", env, err)
	}
	write(newToken("new").Text())
	if token, err := env.Reread(); err != nil || token != newToken("new") {
		t.Errorf("%v, %v", token, err)
	}
	away := func() error { return os.Remove(path) }
	empty := func() error { return os.WriteFile(path, nil, 0o600) }
	for _, replace := range []func() error{empty, away} {
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		if token, err := env.Reread(); KindOf(err) != KindRotation || !Temporary(err) || !token.IsZero() || !strings.HasPrefix(err.Error(), "SKAROCTL_TOKEN_FILE: ") {
			t.Errorf("%v, %v", token, err)
		}
	}
	text := Environment{Token: newToken("text"), Source: "SKAROCTL_TOKEN"}
	if token, err := text.Reread(); err != nil || token != text.Token {
		t.Errorf("%v, %v", token, err)
	}
}
