package session

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A certificate at the end of a long file is not left out without an error.
func TestLongFileOfRootCertificatesIsRefused(t *testing.T) {
	long := pemFile(t, newAuthority(t).cert)
	if err := os.Truncate(long, maxCertificates+1); err != nil {
		t.Fatal(err)
	}
	_, err := Endpoint{URL: "wss://chat.example.org/", CAFile: long}.roots(t.Context())
	if want := "can't read the root certificates: read " + long + ": it has more than"; !isKind(err, KindEndpoint) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("the error is %v", err)
	}
}

func TestVariablesForRootCertificatesMustNameSome(t *testing.T) {
	good := pemFile(t, newAuthority(t).cert)
	empty := t.TempDir()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(empty, "missing")
	for name, c := range map[string]struct{ file, dirs, want string }{
		"nothing":                      {},
		"a file":                       {file: good},
		"a directory":                  {dirs: filepath.Dir(good)},
		"a missing directory too":      {dirs: missing + ":" + filepath.Dir(good)},
		"a missing file":               {file: missing, want: "SSL_CERT_FILE: can't read " + missing + ": "},
		"a directory as the file":      {file: empty, want: "SSL_CERT_FILE: can't read " + empty + ": "},
		"no certificate":               {file: text, want: "SSL_CERT_FILE: " + text + " contains no certificate in PEM form"},
		"a missing directory":          {dirs: missing, want: "SSL_CERT_DIR: there is no file with a certificate in PEM form in " + missing},
		"directories without any":      {dirs: empty + ":" + filepath.Dir(text), want: "SSL_CERT_DIR: there is no file with a certificate"},
		"a file, and a missing folder": {file: good, dirs: missing},
	} {
		err := checkRootVariables(c.file, c.dirs)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !isKind(err, KindEndpoint) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if runtime.GOOS == "linux" {
		if err := checkRootVariables("/dev/null", ""); err != nil {
			t.Errorf("a file that may be read only once was read: %v", err)
		}
	}
}
