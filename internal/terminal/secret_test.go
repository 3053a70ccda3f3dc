package terminal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// secretFile makes a file with a mode, and returns its path.
func secretFile(t *testing.T, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "my secret")
	if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file of ours that others can use is refused, and the hint makes it private. Its
// content does not leave ReadSecret.
func TestReadSecretRefusesWhatOthersCanUse(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: modes say nothing on this platform")
	}
	for mode, private := range map[fs.FileMode]bool{0o600: true, 0o400: true, 0o440: false, 0o444: false, 0o604: false, 0o620: false, 0o644: false} {
		path := secretFile(t, mode)
		content, regular, err := ReadSecret(path, 100)
		var exposed *ExposedError
		switch {
		case private && (err != nil || !regular || string(content) != "secret"):
			t.Errorf("%04o: %q, %v", mode, content, err)
		case !private && (!errors.As(err, &exposed) || len(content) > 0 || exposed.Hint != "run `chmod 600 '"+path+"'`" || !strings.Contains(err.Error(), "its mode is 0")):
			t.Errorf("%04o: %q, %v", mode, content, err)
		}
	}
}

// A secret of another user is as its administrator wants it.
func TestReadSecretTakesWhatIsNotOurs(t *testing.T) {
	path := secretFile(t, 0o644)
	if err := os.Chown(path, 4242, 4242); err != nil || os.Geteuid() != 0 {
		t.Skip("SKIPPED: it gives a file to another user, as root")
	}
	if content, _, err := ReadSecret(path, 3); err != nil || string(content) != "sec" {
		t.Errorf("%q, %v", content, err)
	}
}

func TestReadSecretReadsAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("secret"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	path := filepath.Join("/dev/fd", strconv.Itoa(int(r.Fd())))
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: needs /dev/fd")
	}
	if content, regular, err := ReadSecret(path, 100); err != nil || regular || string(content) != "secret" {
		t.Errorf("%q, %v, %v", content, regular, err)
	}
}
