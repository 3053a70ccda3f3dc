package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaroctl/skaroctl/internal/cli"
)

// writeCertificate writes a certificate that is valid for 90 days, and its key.
func writeCertificate(t *testing.T, certFile, keyFile string, validUntil time.Time) {
	t.Helper()
	writeCertificateFrom(t, certFile, keyFile, validUntil.AddDate(0, 0, -90), validUntil)
}

func writeCertificateFrom(t *testing.T, certFile, keyFile string, validFrom, validUntil time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: validFrom, NotAfter: validUntil}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyBytes}), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func TestCertificateIsRenewedOnlyByAGoodOne(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	first, second := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC)
	writeCertificate(t, certFile, keyFile, first)
	c, err := readCertificate(t.Context(), certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	current := func() time.Time {
		t.Helper()
		pair, err := c.config().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.NotAfter
	}
	if got := current(); !got.Equal(first) {
		t.Errorf("it is valid until %v", got)
	}
	if err := os.WriteFile(keyFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var usage *cli.Error
	if err := c.read(t.Context()); !errors.As(err, &usage) || usage.Kind != cli.KindUsage || !current().Equal(first) {
		t.Errorf("without a key: %v, valid until %v", err, current())
	}
	writeCertificate(t, certFile, keyFile, second)
	if err := c.read(t.Context()); err != nil || !current().Equal(second) {
		t.Errorf("renewed: %v, valid until %v", err, current())
	}
}

// The log says when a certificate expires, and warns before that: 14 days, or a third of the
// time that it is made for.
func TestCertificateThatExpiresIsLogged(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	from, day := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), 24*time.Hour
	const expired, soon = "the certificate has expired, and clients refuse it", "the certificate expires soon"
	for _, x := range []struct {
		life, age time.Duration
		warning   string
	}{
		{90 * day, 76 * day, ""},
		{90 * day, 76*day + 1, soon},
		{90 * day, 90*day - 1, soon},
		{90 * day, 90 * day, expired},
		{90 * day, 100 * day, expired},
		{6 * day, 4 * day, ""},
		{6 * day, 4*day + 1, soon},
	} {
		writeCertificateFrom(t, certFile, keyFile, from, from.Add(x.life))
		c, err := readCertificate(t.Context(), certFile, keyFile)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		c.logRead(slog.New(slog.NewTextHandler(&log, nil)), "certificate read", from.Add(x.age))
		until := from.Add(x.life).Format(" valid_until=2006-01-02T15:04:05.000Z\n")
		lines := strings.SplitAfter(log.String(), "\n")
		if !strings.HasSuffix(lines[0], ` level=INFO msg="certificate read"`+until) || (len(lines) == 3) != (x.warning != "") ||
			x.warning != "" && !strings.HasSuffix(lines[1], ` level=WARN msg="`+x.warning+`"`+until) {
			t.Errorf("%v of %v: %s", x.age, x.life, log.String())
		}
	}
}

// A chain that is longer than what is read is refused: without its end, clients would not trust it.
func TestLongCertificateIsNotCut(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, certFile, keyFile, time.Now().Add(time.Hour))
	chain, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{maxPEM, maxPEM + 1} {
		long := append(chain, bytes.Repeat([]byte("\n"), size-len(chain))...)
		if err := os.WriteFile(certFile, long, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readCertificate(t.Context(), certFile, keyFile); (err == nil) != (size == maxPEM) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestNoCertificateMeansNoTLS(t *testing.T) {
	c, err := readCertificate(t.Context(), "", "")
	if c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
}
