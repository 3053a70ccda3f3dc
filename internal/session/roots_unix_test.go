//go:build unix

package session

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe in SSL_CERT_DIR may have no writer, and no time limit would end the read of it.
func TestRootDirectoryMayHoldAPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkRootVariables("", dir); !isKind(err, KindEndpoint) || !strings.Contains(err.Error(), "SSL_CERT_DIR: there is no file with a certificate") {
		t.Errorf("a pipe alone: %v", err)
	}
	if err := checkRootVariables("", dir+":"+filepath.Dir(pemFile(t, newAuthority(t).cert))); err != nil {
		t.Errorf("a pipe and a certificate: %v", err)
	}
}
